"""One client's WebSocket as callbacks: a request is answered in the turn of the event loop that brought it.

A coroutine that awaits messages would be woken a turn later, which costs as much as the answer itself.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, TypeVar

from aiohttp import web
from websockets.frames import CloseCode

from sim2real.server.websocket_frames import Message, WebSocketFrames

READ_BYTES = 8192  # at once: what one client has to say in a turn of the event loop, while others wait
GOODBYE = 1.0  # seconds for the other side to end a connection that was closed

Request = TypeVar("Request")


class WebSocketProtocol(asyncio.BufferedProtocol, ABC, Generic[Request]):
    """Flow control, heartbeat and goodbye of one connection; what messages mean is left to subclasses.

    Every message is taken when it arrives, before an earlier one that still waits is answered. One request is answered
    in each turn of the event loop, and nothing more is read while one waits or the client does not take its replies.
    Larger messages than `max_message_bytes` end the connection, as does a silence of 1.5 `heartbeat` [s].
    """

    ended: asyncio.Future[None]
    """Done once the connection is lost."""

    def __init__(self, max_message_bytes: int, heartbeat: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_future()
        self._frames = WebSocketFrames(max_message_bytes)
        self._buffer = memoryview(bytearray(READ_BYTES))  # of a bytearray TLS would fill a copy of what is behind
        self._waiting: deque[Request] = deque()
        self._full = False  # the client does not take its replies
        self._reading = True
        self._turn: asyncio.Handle | None = None  # in which the next request is answered
        self._heartbeat = heartbeat
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    @abstractmethod
    def take(self, message: Message) -> Request:
        """What a message that has just arrived asks for."""

    @abstractmethod
    def answer(self, request: Request) -> None:
        """Send a reply to the request that has waited longest."""

    @abstractmethod
    def broke(self, error: Exception) -> None:
        """Note what `take` or `answer` raised; the connection ends."""

    def take_over(self, request: web.Request) -> None:
        """Speak on the connection of an HTTP request whose upgrade was just answered; raises ConnectionResetError."""
        if request.transport is None:
            raise ConnectionResetError("the client has gone")
        assert isinstance(request.transport, asyncio.Transport)
        self._transport, self._http = request.transport, request.protocol
        self._transport.set_protocol(self)
        self._timer = self._loop.call_later(self._heartbeat, self._beat)

    def send(self, reply: bytes | str) -> None:
        """Send a message, unless the connection is being closed."""
        if not self._frames.is_open:
            return
        if isinstance(reply, bytes):
            self._transport.write(self._frames.binary(reply))
        else:
            self._frames.text(reply)
            self._flush()

    def close(self, code: CloseCode, reason: str) -> None:
        """Answer what waits and say goodbye; the connection is cut if the client does not end it soon."""
        while self._waiting and not self._full:
            self._answer(self._waiting.popleft())
        self._frames.say_goodbye(code, reason)
        self._flush()
        self._cut_soon()

    # called by the transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what is read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read, and answer."""
        self._heard = self._loop.time()
        for message in self._frames.read(bytes(self._buffer[:nbytes])):
            self._take(message)
        self._flush()  # pongs and goodbyes
        if self._turn is None:
            self._go_on()

    def eof_received(self) -> None:
        """Nothing more will come; the transport closes itself once everything is sent."""

    def pause_writing(self) -> None:
        """Wait until replies are taken."""
        self._full = True
        self._regulate()

    def resume_writing(self) -> None:
        """Go on where `pause_writing` stopped."""
        self._full = False
        if self._turn is None:
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the HTTP server, which counts connections, and who waits for `ended`."""
        for handle in (self._timer, self._turn):
            if handle is not None:
                handle.cancel()
        self._waiting.clear()
        self._http.connection_lost(exc)
        if not self.ended.done():
            self.ended.set_result(None)

    # messages

    def _take(self, message: Message) -> None:
        try:
            self._waiting.append(self.take(message))
        except Exception as error:  # the last resort: nothing is known of it but that it happened
            self._break(error)

    def _go_on(self) -> None:
        self._turn = None
        if self._waiting and not self._full:
            self._answer(self._waiting.popleft())
            if self._waiting and not self._full:
                self._turn = self._loop.call_soon(self._go_on)
        self._regulate()

    def _answer(self, request: Request) -> None:
        if not self._frames.is_open:
            return
        try:
            self.answer(request)
        except Exception as error:  # the last resort, as above
            self._break(error)

    def _break(self, error: Exception) -> None:
        self.broke(error)
        self._waiting.clear()
        self._frames.fail(CloseCode.INTERNAL_ERROR, "internal error")
        self._flush()

    # the connection

    def _regulate(self) -> None:
        """Read as long as all that was read is answered."""
        wanted = not self._waiting and not self._full
        if wanted is not self._reading:
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _flush(self) -> None:
        if not self._frames.has_pending:
            return
        for data in self._frames.pending():
            if data:
                self._transport.write(data)
            else:
                self._hang_up()

    def _hang_up(self) -> None:
        """Send nothing more. What the client has sent meanwhile is still read: ignoring it would reset the connection
        before the goodbye is seen."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._cut_soon()
        else:  # TLS
            self._transport.close()

    def _cut_soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(GOODBYE, self._transport.abort)

    def _beat(self) -> None:
        """Ping a client that has been silent for a heartbeat, cut it half a heartbeat later."""
        silent = self._loop.time() - self._heard
        if silent >= 1.5 * self._heartbeat:
            self._transport.abort()
            return
        wait = self._heartbeat
        if silent >= self._heartbeat:
            self._frames.ping()
            self._flush()
            wait = 1.5 * self._heartbeat
        self._timer = self._loop.call_at(self._heard + wait, self._beat)
