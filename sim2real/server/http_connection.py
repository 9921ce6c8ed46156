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
_MORE_TO_IT = ("Content-Encoding", "Expect", "Transfer-Encoding", "Upgrade")

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
        self._answer: Answer | None = None
        self._given: bytearray | None = bytearray()  # to the handler, which has not answered that; None: lost track
        self._held: tuple[bytes, _Repetition] | None = None  # a repetition that is incomplete
        self._full = False  # the client does not take its replies

    def repeat_with(self, answer: Answer) -> None:
        """Remember what answers repetitions of the request that the handler is answering now."""
        self._answer = answer

    def finished(self, request: web.Request) -> None:
        """Note that the handler has written its response.

        Of what it was given only that head is remembered which is, byte for byte, the one that it has read.
        """
        answer, self._answer = self._answer, None
        if self._given is None:
            return
        given, self._given = self._given, None
        head = _head(request)
        size = len(head) + (request.content_length or 0)
        if not given.startswith(head) or size > len(given) or any(name in request.headers for name in _MORE_TO_IT):
            return
        self._given = given[size:]
        if answer is not None and request.keep_alive and request.version == HttpVersion11:
            if len(self._heads) == _MOST_HEADS and head not in self._heads:
                del self._heads[next(iter(self._heads))]
            self._heads[head] = _Repetition(answer, len(head), size, time.monotonic() + RENEWAL)

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
        data = bytes(self._buffer[:nbytes])
        if self._held is None:
            known = self._repetition(data)
        else:
            data, known = self._held[0] + data, self._held[1]
        if known is not None and len(data) < known.size:
            if self._held is None:
                self._arriving[self._transport] = time.monotonic()
            self._held = data, known
            return
        if self._held is not None:
            self._held = None
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

    def _give(self, data: bytes) -> None:
        if self._given is not None:
            self._given += data
            if len(self._given) > _LARGEST_REQUEST:
                self._given = None
        self._handler.data_received(data)


def _head(request: web.Request) -> bytes:
    """The bytes of a request's head as nearly every client writes it."""
    line = f"{request.method} {request.raw_path} HTTP/{request.version.major}.{request.version.minor}"
    lines = (line.encode("utf-8", "surrogateescape"), *(name + b": " + value for name, value in request.raw_headers))
    return b"\r\n".join((*lines, b"", b""))
