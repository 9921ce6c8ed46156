"""openpi's protocol: metadata first, then an action for each observation, as msgpack in binary frames.

A request is a map with `observation` (O,), and, if wanted, `sequence` (rising integers) and `reset` (true: forget the
previous action first; alone, only that). A refusal is a text frame of JSON with `error`, `reason` and `sequence`.
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
GOODBYE = 1.0  # seconds for the other side to end a connection that was closed
MOST_WAITING = 64  # requests of one connection that have been read and not yet answered

_PROTOCOL = "websocket"
_log = logging.getLogger("hgrpo.server")


class Request(NamedTuple):
    """One frame of a client: when it came, its bytes, and what it holds, or why it is refused."""

    arrived: float
    size: int
    fields: dict[str, Any]
    refusal: RequestError | None


class WebSocketEndpoint:
    """Serves every connection by itself; `close` says goodbye to all."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._conversations: set[_Conversation] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Speak with one client until either side ends it; raises RequestError for an unknown policy."""
        served = find(self._inference.policies, request.match_info.get("policy"))
        largest = self._inference.settings.max_message_bytes + 1  # aiohttp allows less than that
        connection = web.WebSocketResponse(compress=False, max_msg_size=largest, autoping=False, timeout=GOODBYE)
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
        """Close every connection as a server that goes away does."""
        await asyncio.gather(*(conversation.close() for conversation in tuple(self._conversations)))


class _Conversation:
    """One connection: a task reads, one answers and one sends pings.

    What has arrived is read before the first of it is answered, so that the newest sequence number is known. Nothing
    more is read while MOST_WAITING requests, or as many bytes as the largest may have, wait for their answers.
    """

    def __init__(
        self, inference: Inference, served: ServedPolicy, connection: web.WebSocketResponse, request: web.Request
    ) -> None:
        self._inference = inference
        self._served = served
        self._connection = connection
        self._transport = request.transport
        self._history = History()
        self._newest = -1  # sequence number that has arrived: requests before it are overtaken
        self._previous_total: float | None = None
        self._waiting: deque[Request] = deque()
        self._waiting_bytes = 0
        self._work, self._room = asyncio.Event(), asyncio.Event()
        self._last_active = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._goodbye: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Speak until either side ends it."""
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
            pass  # the client has gone
        except Exception as error:  # the last resort: told here in full, and the client without a word of it
            _log.error("a conversation about %s broke off", self._served.name, exc_info=error)
            self._inference.metrics.rejected[self._served.name, _PROTOCOL, "internal"] += 1
            self._waiting.clear()
            self._say_goodbye(WSCloseCode.INTERNAL_ERROR, b"internal error")
        finally:
            await self._stop()
            if self._goodbye is not None:
                await self._goodbye

    async def close(self) -> None:
        """Say that the server goes away; the connection is cut if the client does not end it soon."""
        await self._say_goodbye(WSCloseCode.GOING_AWAY, b"server stops")

    def _say_goodbye(self, code: WSCloseCode, message: bytes) -> asyncio.Task[None]:
        if self._goodbye is None:
            self._goodbye = asyncio.ensure_future(self._end(code, message))
        return self._goodbye

    async def _end(self, code: WSCloseCode, message: bytes) -> None:
        async def in_order() -> None:
            await self._stop()  # aiohttp waits for the client's own goodbye only while nobody else reads
            while self._waiting:
                await self._answer(self._waiting.popleft())
            await self._connection.close(code=code, message=message)

        try:
            with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
                await asyncio.wait_for(in_order(), 2.0 * GOODBYE)
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
        """Take every message when it arrives, as long as there is room for more."""
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
        """Answer what waits, one request in each turn of the event loop."""
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
        """Ping a client of which no whole message came for a heartbeat, cut it half a heartbeat later."""
        heartbeat, pinged = self._inference.settings.heartbeat, -1.0
        while (silent := time.monotonic() - self._last_active) < 1.5 * heartbeat:
            if silent >= heartbeat and pinged < self._last_active:
                await self._connection.ping()
                pinged = time.monotonic()
            await asyncio.sleep((heartbeat if silent < heartbeat else 1.5 * heartbeat) - silent)
        self._cut()

    def _decode(self, message: WSMessage) -> None:
        """Unpack and check a message; one that is refused is so in its turn."""
        arrived, size = time.perf_counter(), len(message.data)
        self._waiting_bytes += size
        try:
            if message.type is WSMsgType.TEXT:
                raise RequestError("malformed", "text frame; expected msgpack in a binary one")
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
                raise RequestError("stale", f"sequence {sequence} was overtaken by {self._newest}; dropped")
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
    """Raise RequestError unless this is a map of KEYS with an observation or a reset in it."""
    if type(fields) is not dict:
        raise RequestError("malformed", f"message is {type(fields).__name__}; expected a map")
    for key in fields:
        if key not in KEYS:
            raise RequestError("malformed", f"unknown key {str(key)[:40]!r}; allowed: {', '.join(KEYS)}")
    if "sequence" in fields:
        check_sequence(fields["sequence"])
    if type(fields.get("reset", False)) is not bool:
        raise RequestError("malformed", "reset is neither true nor false")
    if "observation" not in fields and not fields.get("reset", False):
        raise RequestError("malformed", "message without an observation")
