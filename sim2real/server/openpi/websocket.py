"""openpi's WebSocket protocol.

The server sends metadata, then an action for each observation, as msgpack in binary frames.

A request is a map with `observation` (O,), and optionally `sequence` (a rising integer) and `reset` (true deletes the
previous action and the memory of the policy first; it may stand without an observation). A refusal is a text frame of
JSON with `error`, `reason` and `sequence`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from typing import Any, NamedTuple

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from sim2real.protocol.msgpack import pack, unpack
from sim2real.protocol.request_error import RequestError
from sim2real.server.core.history import History, check_sequence
from sim2real.server.core.inference import Inference
from sim2real.server.core.policies import ServedPolicy, describe, find

KEYS = ("observation", "reset", "sequence")
CLOSE_TIMEOUT = 1.0  # time for the other side to end a closed connection [s]
MOST_WAITING = 64  # most requests of one connection that were read and not yet answered

_PROTOCOL = "websocket"
_log = logging.getLogger("hgrpo.server")


class Request(NamedTuple):
    """One decoded frame of a client: its arrival, size in bytes, and fields or refusal."""

    arrived: float
    size: int
    fields: dict[str, Any]
    refusal: RequestError | None


class WebSocketEndpoint:
    """The WebSocket connections of the server."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._conversations: set[_Conversation] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one client until either side closes the connection; raises RequestError for an unknown policy."""
        served = find(self._inference.policies, request.match_info.get("policy"))
        largest = self._inference.settings.max_message_bytes + 1  # aiohttp allows only smaller messages
        connection = web.WebSocketResponse(compress=False, max_msg_size=largest, autoping=False, timeout=CLOSE_TIMEOUT)
        await connection.prepare(request)
        conversation = _Conversation(self._inference, served, connection, request)
        self._conversations.add(conversation)
        self._inference.metrics.conversations += 1
        try:
            await conversation.run()
        finally:
            self._inference.metrics.conversations -= 1
            self._conversations.discard(conversation)
        return connection

    async def close(self) -> None:
        """Close all connections with the code for a server that goes away."""
        await asyncio.gather(*(conversation.close() for conversation in tuple(self._conversations)))


class _Conversation:
    """One connection, with three tasks: one reads, one answers and one sends pings.

    All frames that have arrived are read before the first is answered, so that the newest sequence number is known.
    Reading pauses while MOST_WAITING requests, or more bytes than the largest message, are waiting.
    """

    def __init__(
        self, inference: Inference, served: ServedPolicy, connection: web.WebSocketResponse, request: web.Request
    ) -> None:
        self._inference = inference
        self._served = served
        self._connection = connection
        self._transport = request.transport
        self._history = History()
        self._newest = -1  # newest sequence number: requests with lower ones are overtaken
        self._previous_total: float | None = None
        self._waiting: deque[Request] = deque()
        self._waiting_bytes = 0
        self._work, self._room = asyncio.Event(), asyncio.Event()
        self._last_active = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run until either side closes the connection."""
        settings = self._inference.settings
        try:
            await self._connection.send_bytes(pack(describe(self._served, settings)))
            parts = (self._read, self._answer_all, self._beat)
            self._tasks = [asyncio.ensure_future(part()) for part in parts]
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks:
                if task.done() and not task.cancelled():
                    task.result()
        except ConnectionError:
            pass  # the client has disconnected
        except Exception as error:  # a bug: logged with its traceback; the client gets no details
            _log.error("a connection to %s failed", self._served.name, exc_info=error)
            self._inference.metrics.rejected[self._served.name, _PROTOCOL, "internal"] += 1
            self._waiting.clear()
            self._start_closing(WSCloseCode.INTERNAL_ERROR, b"internal error")
        finally:
            self._history.reset()
            await self._stop()
            if self._closing is not None:
                await self._closing

    async def close(self) -> None:
        """Close the connection because the server stops.

        Cut it if the client does not close in time.
        """
        await self._start_closing(WSCloseCode.GOING_AWAY, b"server stops")

    def _start_closing(self, code: WSCloseCode, message: bytes) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._end(code, message))
        return self._closing

    async def _end(self, code: WSCloseCode, message: bytes) -> None:
        async def in_order() -> None:
            await self._stop()  # aiohttp waits for the client's close frame only if no other task reads
            while self._waiting:
                await self._answer(self._waiting.popleft())
            await self._connection.close(code=code, message=message)

        try:
            with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
                await asyncio.wait_for(in_order(), 2.0 * CLOSE_TIMEOUT)
        finally:
            self._cut()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut(self) -> None:
        if isinstance(self._transport, asyncio.Transport):
            self._transport.abort()

    async def _read(self) -> None:
        """Read messages when they arrive, while there is room for more."""
        largest = self._inference.settings.max_message_bytes
        while True:
            message = await self._connection.receive()
            self._last_active = time.monotonic()
            if message.type is WSMsgType.PING:
                await self._connection.pong(message.data)
            elif message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
                self._decode(message)
                self._work.set()
                while len(self._waiting) >= MOST_WAITING or self._waiting_bytes > largest:
                    self._room.clear()
                    await self._room.wait()
            elif message.type is not WSMsgType.PONG:
                return

    async def _answer_all(self) -> None:
        """Answer the waiting requests, one per turn of the event loop."""
        while True:
            if not self._waiting:
                self._work.clear()
                await self._work.wait()
            request = self._waiting.popleft()
            self._waiting_bytes -= request.size
            self._room.set()
            await self._answer(request)
            if self._waiting:
                await asyncio.sleep(0)

    async def _beat(self) -> None:
        """Ping a silent client after a heartbeat; cut it half a heartbeat later."""
        heartbeat, pinged = self._inference.settings.heartbeat, -1.0
        while (silent := time.monotonic() - self._last_active) < 1.5 * heartbeat:
            if silent >= heartbeat and pinged < self._last_active:
                await self._connection.ping()
                pinged = time.monotonic()
            await asyncio.sleep((heartbeat if silent < heartbeat else 1.5 * heartbeat) - silent)
        self._cut()

    def _decode(self, message: WSMessage) -> None:
        """Unpack and check a message; a refusal is sent when its turn comes."""
        arrived, size = time.perf_counter(), len(message.data)
        self._waiting_bytes += size
        try:
            if message.type is WSMsgType.TEXT:
                raise RequestError("malformed", "text frame; expected msgpack in a binary frame")
            fields: dict[str, Any] = unpack(message.data, self._inference.settings.max_message_bytes)
            check_fields(fields)
        except RequestError as refusal:
            self._waiting.append(Request(arrived, size, {}, refusal))
            return
        self._newest = max(self._newest, fields.get("sequence", -1))
        self._waiting.append(Request(arrived, size, fields, None))

    async def _answer(self, request: Request) -> None:
        """Send the action or the refusal."""
        metrics, name = self._inference.metrics, self._served.name
        try:
            reply = self._reply(request)
        except RequestError as refusal:
            metrics.rejected[name, _PROTOCOL, refusal.reason] += 1
            answer = {"error": str(refusal), "reason": refusal.reason, "sequence": request.fields.get("sequence")}
            await self._connection.send_str(json.dumps(answer))
            return
        await self._connection.send_bytes(reply)
        self._previous_total = time.perf_counter() - request.arrived
        metrics.latency[name, _PROTOCOL].observe(self._previous_total)

    def _reply(self, request: Request) -> bytes:
        if request.refusal is not None:
            raise request.refusal
        fields, history, served = request.fields, self._history, self._served
        sequence, reset = fields.get("sequence"), fields.get("reset", False)
        if sequence is not None:
            if sequence < self._newest:
                raise RequestError("stale", f"sequence {sequence} was overtaken by {self._newest} and is dropped")
            history.advance(sequence)
        if reset:
            history.reset()
        reply: dict[str, Any] = {"policy": served.name}
        timing = {} if self._previous_total is None else {"prev_total_ms": 1e3 * self._previous_total}
        if "observation" in fields:
            answer = self._inference.one(served, fields["observation"], history)
            timing["infer_ms"] = 1e3 * answer.seconds
            reply |= {"version": answer.version, "limited": answer.limited, "actions": answer.action}
        else:
            reply["version"] = served.active.number
        reply["server_timing"] = timing
        if reset:
            reply["reset"] = True
        if sequence is not None:
            reply["sequence"] = sequence
        return pack(reply)


def check_fields(fields: Any) -> None:
    """Raise RequestError unless `fields` is a map of KEYS with an observation or a reset."""
    if type(fields) is not dict:
        raise RequestError("malformed", f"message is {type(fields).__name__}; expected a map")
    for key in fields:
        if key not in KEYS:
            raise RequestError("malformed", f"unknown key {str(key)[:40]!r}; allowed: {', '.join(KEYS)}")
    if "sequence" in fields:
        check_sequence(fields["sequence"])
    if type(fields.get("reset", False)) is not bool:
        raise RequestError("malformed", "reset must be true or false")
    if "observation" not in fields and not fields.get("reset", False):
        raise RequestError("malformed", "message without an observation")
