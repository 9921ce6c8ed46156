"""One client's HTTP connection: a request whose head was answered before is answered in the turn that brought it.

A client that asks again and again sends the same head, byte for byte. aiohttp reads, checks and routes it once; what it
came to holds for its repetitions, which then cost a look at the head and the answer itself. Everything else is
aiohttp's: other heads, more than one request at a time, what is compressed or sent in chunks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, MutableMapping
from typing import NamedTuple

from aiohttp import HttpVersion11, web

READ_BYTES = 1 << 14  # at once
RENEWAL = 10.0  # seconds after which a head is aiohttp's again, since it ends connections on which it hears nothing

_HEAD_END = b"\r\n\r\n"
_MOST_HEADS = 16  # of one connection
_LARGEST_REQUEST = 1 << 16  # bytes, beyond which an answer costs more than its head
_CHANGES_THE_BODY = ("Content-Encoding", "Expect", "Transfer-Encoding", "Upgrade")

Answer = Callable[[bytes], bytes]
"""A whole response, head and body, to the body of a request."""


class _Repetition(NamedTuple):
    """What a head that has been answered is good for: whole requests of `size` bytes, until a time.monotonic()."""

    answer: Answer
    head_size: int
    size: int
    until: float


class HttpConnection(asyncio.BufferedProtocol):
    """Stands between a transport and aiohttp's handler of one connection.

    While `arriving` has an entry for the transport, a request that began at that time.monotonic() is incomplete.
    """

    def __init__(self, handler: web.RequestHandler, arriving: MutableMapping[asyncio.BaseTransport, float]) -> None:
        self._handler = handler
        self._arriving = arriving
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._heads: dict[bytes, _Repetition] = {}
        self._given: bytearray | None = bytearray()  # to the handler, which has not answered that; None: lost track
        self._held = b""  # of a repetition that is incomplete
        self._arrived: _Repetition | None = None  # its head
        self._full = False  # the client does not take its replies

    def finished(self, request: web.Request, answer: Answer | None) -> None:
        """Note that the handler has written its response, and what answers repetitions of that request."""
        if self._given is None:
            return
        given, self._given = self._given, None
        end = given.find(_HEAD_END) + len(_HEAD_END)
        size = end + (request.content_length or 0)
        begins = given.startswith(f"{request.method} {request.raw_path} HTTP/1.".encode())
        if not begins or size > len(given) or any(name in request.headers for name in _CHANGES_THE_BODY):
            return  # the request's bytes are not what they seem
        self._given = given[size:]
        if answer is not None and request.keep_alive and request.version == HttpVersion11:
            if len(self._heads) == _MOST_HEADS:
                del self._heads[next(iter(self._heads))]
            self._heads[bytes(given[:end])] = _Repetition(answer, end, size, time.monotonic() + RENEWAL)

    # called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the handler."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._handler.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what is read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Answer a repetition; give everything else to the handler."""
        data = self._held + bytes(self._buffer[:nbytes])
        known = self._arrived or self._repetition(data)
        if known is not None and len(data) < known.size:
            self._hold(data, known)
            return
        if self._held:
            self._held, self._arrived = b"", None
            del self._arriving[self._transport]
        if known is None or len(data) > known.size:
            self._give(data)
        else:
            self._transport.write(known.answer(data[known.head_size :]))

    def eof_received(self) -> None:
        """Tell the handler; the transport closes itself once everything is sent."""
        self._handler.eof_received()

    def pause_writing(self) -> None:
        """Tell the handler, which has more patience with slow readers."""
        self._full = True
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Go on where `pause_writing` stopped."""
        self._full = False
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the handler."""
        self._arriving.pop(self._transport, None)
        self._handler.connection_lost(exc)

    def _repetition(self, data: bytes) -> _Repetition | None:
        """What is known of the head at the beginning of `data`, unless it is the handler's turn."""
        if self._given is None or self._given or self._full:
            return None
        known = self._heads.get(data[: data.find(_HEAD_END) + len(_HEAD_END)])
        return known if known is not None and time.monotonic() <= known.until else None

    def _hold(self, data: bytes, known: _Repetition) -> None:
        if not self._held:
            self._arriving[self._transport] = time.monotonic()
        self._held, self._arrived = data, known

    def _give(self, data: bytes) -> None:
        if self._given is not None:
            self._given += data
            if len(self._given) > _LARGEST_REQUEST:
                self._given = None
        self._handler.data_received(data)
