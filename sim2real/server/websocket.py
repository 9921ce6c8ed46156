"""openpi's protocol: metadata first, then an action for each observation, as msgpack in binary frames.

A request is a map with `observation` (O,), and, if wanted, `sequence` (rising integers) and `reset` (true: forget the
previous action first; alone, only that). A refusal is a text frame of JSON with `error`, `reason` and `sequence`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from typing import Any, NamedTuple

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from sim2real.server.history import History, check_sequence
from sim2real.server.inference import Inference
from sim2real.server.policies import ServedPolicy, describe, find
from sim2real.server.rejection import Rejected
from sim2real.server.wire import pack, unpack

KEYS = ("observation", "reset", "sequence")
WAITING_REQUESTS = 64  # of one connection, before no more are read

_PROTOCOL = "websocket"
_log = logging.getLogger("hgrpo.server")


class Request(NamedTuple):
    """One frame of a client: when it came, and what it holds, or why it is refused."""

    arrived: float
    fields: dict[str, Any]
    refusal: Rejected | None


class WebSocketEndpoint:
    """Serves every connection by itself; `close` says goodbye to all."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._sockets: set[web.WebSocketResponse] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Speak with one client until either side ends it; 404 for an unknown policy."""
        settings = self._inference.settings
        served = find(self._inference.policies, request.match_info.get("policy"))
        socket = web.WebSocketResponse(
            max_msg_size=settings.max_message_bytes,
            heartbeat=settings.heartbeat,
            compress=False,
            timeout=1.0,
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        self._inference.metrics.conversations += 1
        try:
            await _Conversation(self._inference, served, socket).run()
        except ConnectionError:
            pass  # the client went while it was being answered
        except Exception:  # the last resort: told here, in full, and to the client without a word of it
            _log.exception("a conversation about %s broke off", served.name)
            self._inference.metrics.rejected[served.name, _PROTOCOL, "internal"] += 1
            await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"internal error")
        finally:
            self._inference.metrics.conversations -= 1
            self._sockets.discard(socket)
        return socket

    async def close(self) -> None:
        """Close every connection as a server that goes away does."""
        closings = [socket.close(code=WSCloseCode.GOING_AWAY, message=b"server stops") for socket in self._sockets]
        await asyncio.gather(*closings)


class _Conversation:
    """One connection. Reading runs ahead of answering, so that a request is known to be overtaken by a later one."""

    def __init__(self, inference: Inference, served: ServedPolicy, socket: web.WebSocketResponse) -> None:
        self._inference = inference
        self._served = served
        self._socket = socket
        self._history = History()
        self._waiting: deque[Request] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._busy = False
        self._newest = -1
        self._previous_total: float | None = None

    async def run(self) -> None:
        """Send the metadata, then answer until the connection ends; raises ConnectionError if it broke."""
        await self._socket.send_bytes(pack(describe(self._served, self._inference.settings)))
        answering = asyncio.ensure_future(self._answer_all())
        reading = asyncio.ensure_future(self._read_all())
        try:
            await asyncio.wait((answering, reading), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, reading):
                task.cancel()
            results = await asyncio.gather(answering, reading, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _read_all(self) -> None:
        while True:
            message = await self._socket.receive()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            request = self._parse(message)
            sequence = request.fields.get("sequence")
            if sequence is None and not self._waiting and not self._busy:
                await self._answer(request)  # nothing can overtake it: one turn of the event loop less
                continue
            if sequence is not None:
                self._newest = max(self._newest, sequence)
            self._waiting.append(request)
            self._arrived.set()
            if len(self._waiting) >= WAITING_REQUESTS:
                self._room.clear()
                await self._room.wait()

    def _parse(self, message: WSMessage) -> Request:
        arrived = time.perf_counter()
        try:
            if message.type is not WSMsgType.BINARY:
                raise Rejected("malformed", "text frame; expected msgpack in a binary one")
            fields = unpack(message.data, self._inference.settings.max_message_bytes)
            check_fields(fields)
        except Rejected as refusal:
            return Request(arrived, {}, refusal)
        return Request(arrived, fields, None)

    async def _answer_all(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                request = self._waiting.popleft()
                self._room.set()
                self._busy = True
                await self._answer(request)
                self._busy = False

    async def _answer(self, request: Request) -> None:
        metrics, name = self._inference.metrics, self._served.name
        try:
            reply = self._reply(request)
        except Rejected as refusal:
            metrics.rejected[name, _PROTOCOL, refusal.reason] += 1
            answer = {"error": str(refusal), "reason": refusal.reason, "sequence": request.fields.get("sequence")}
            await self._socket.send_str(json.dumps(answer))
            return
        await self._socket.send_bytes(pack(reply))
        self._previous_total = time.perf_counter() - request.arrived
        metrics.latency[name, _PROTOCOL].observe(self._previous_total)

    def _reply(self, request: Request) -> dict[str, Any]:
        if request.refusal is not None:
            raise request.refusal
        fields, history = request.fields, self._history
        timing = {} if self._previous_total is None else {"prev_total_ms": 1e3 * self._previous_total}
        reply: dict[str, Any] = {"policy": self._served.name, "server_timing": timing}
        if "sequence" in fields:
            if fields["sequence"] < self._newest:
                raise Rejected("stale", f"sequence {fields['sequence']} was overtaken by {self._newest}; dropped")
            history.take(fields["sequence"])
            reply["sequence"] = fields["sequence"]
        if fields.get("reset", False):
            history.reset()
            reply["reset"] = True
        if "observation" in fields:
            answer = self._inference.one(self._served, fields["observation"], history)
            reply["actions"], reply["version"], reply["limited"] = answer.action, answer.version, answer.limited
            timing["infer_ms"] = 1e3 * answer.seconds
        else:
            reply["version"] = self._served.active.number
        return reply


def check_fields(fields: Any) -> None:
    """Raise Rejected unless this is a map of KEYS with an observation or a reset in it."""
    if type(fields) is not dict:
        raise Rejected("malformed", f"message is {type(fields).__name__}; expected a map")
    for key in fields:
        if key not in KEYS:
            raise Rejected("malformed", f"unknown key {str(key)[:40]!r}; allowed: {', '.join(KEYS)}")
    if "sequence" in fields:
        check_sequence(fields["sequence"])
    if type(fields.get("reset", False)) is not bool:
        raise Rejected("malformed", "reset is neither true nor false")
    if "observation" not in fields and not fields.get("reset", False):
        raise Rejected("malformed", "message without an observation")
