"""openpi's protocol: metadata first, then an action for each observation, as msgpack in binary frames.

A request is a map with `observation` (O,), and, if wanted, `sequence` (rising integers) and `reset` (true: forget the
previous action first; alone, only that). A refusal is a text frame of JSON with `error`, `reason` and `sequence`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any, NamedTuple

from aiohttp import web
from websockets.frames import CloseCode

from sim2real.server.history import History
from sim2real.server.inference import Inference
from sim2real.server.policies import ServedPolicy, describe, find
from sim2real.server.rejection import Rejected
from sim2real.server.reply_form import reply_form
from sim2real.server.request_reader import RequestReader
from sim2real.server.websocket_frames import Message
from sim2real.server.websocket_protocol import WebSocketProtocol
from sim2real.server.wire import pack

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
        self._conversations: set[_Conversation] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Speak with one client until either side ends it; raises Rejected for an unknown policy."""
        served = find(self._inference.policies, request.match_info.get("policy"))
        handshake = web.WebSocketResponse(compress=False)
        await handshake.prepare(request)
        conversation = _Conversation(self._inference, served)
        conversation.take_over(request)
        self._conversations.add(conversation)
        self._inference.metrics.conversations += 1
        try:
            conversation.send(pack(describe(served, self._inference.settings)))
            await conversation.ended
        finally:
            self._inference.metrics.conversations -= 1
            self._conversations.discard(conversation)
        return handshake

    async def close(self) -> None:
        """Close every connection as a server that goes away does."""
        conversations = tuple(self._conversations)
        for conversation in conversations:
            conversation.close(CloseCode.GOING_AWAY, "server stops")
        await asyncio.gather(*(conversation.ended for conversation in conversations))


class _Conversation(WebSocketProtocol[Request]):
    """What the messages of one connection mean."""

    def __init__(self, inference: Inference, served: ServedPolicy) -> None:
        super().__init__(inference.settings.max_message_bytes, inference.settings.heartbeat)
        self._inference = inference
        self._served = served
        self._history = History()
        self._newest = -1  # sequence number that has arrived: requests before it are overtaken
        self._previous_total: float | None = None
        self._reader = RequestReader(inference.settings.max_message_bytes)

    def take(self, message: Message) -> Request:
        """Unpack and check a message; one that is refused is so in its turn."""
        arrived = time.perf_counter()
        try:
            if message.is_text:
                raise Rejected("malformed", "text frame; expected msgpack in a binary one")
            fields = self._reader.read(message.data)
        except Rejected as refusal:
            return Request(arrived, {}, refusal)
        if "sequence" in fields:
            self._newest = max(self._newest, fields["sequence"])
        return Request(arrived, fields, None)

    def answer(self, request: Request) -> None:
        """Send the action or the refusal."""
        metrics, name = self._inference.metrics, self._served.name
        try:
            reply = self._reply(request)
        except Rejected as refusal:
            metrics.rejected[name, _PROTOCOL, refusal.reason] += 1
            answer = {"error": str(refusal), "reason": refusal.reason, "sequence": request.fields.get("sequence")}
            self.send(json.dumps(answer))
            return
        self.send(reply)
        self._previous_total = time.perf_counter() - request.arrived
        metrics.latency[name, _PROTOCOL].observe(self._previous_total)

    def broke(self, error: Exception) -> None:
        """Tell what nobody foresaw here in full, and the client without a word of it."""
        _log.error("a conversation about %s broke off", self._served.name, exc_info=error)
        self._inference.metrics.rejected[self._served.name, _PROTOCOL, "internal"] += 1

    def _reply(self, request: Request) -> bytes:
        if request.refusal is not None:
            raise request.refusal
        fields, history, served = request.fields, self._history, self._served
        sequence, reset = fields.get("sequence"), fields.get("reset", False)
        if sequence is not None:
            if sequence < self._newest:
                raise Rejected("stale", f"sequence {sequence} was overtaken by {self._newest}; dropped")
            history.take(sequence)
        if reset:
            history.reset()
        previous = () if self._previous_total is None else (1e3 * self._previous_total,)
        if "observation" not in fields:
            fixed = {"policy": served.name, "version": served.active.number, "reset": True}
            timing = {"prev_total_ms": previous[0]} if previous else {}
            return pack({**fixed, "server_timing": timing, **({} if sequence is None else {"sequence": sequence})})
        answer = self._inference.one(served, fields["observation"], history)
        action = answer.action
        said = (served.name, answer.version, answer.limited, reset)
        form = reply_form(*said, action.shape[1], len(previous) == 1, sequence is not None)
        return form.fill(action, (1e3 * answer.seconds, *previous), sequence)
