"""Limits that hold for every connection, whatever is spoken over it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.typedefs import Handler

from sim2real.server.access import OPEN_PATH
from sim2real.server.http_reply import SERVER, refusal
from sim2real.server.metrics import Metrics

STRANGERS = 256  # connections that have not yet asked for anything that they may ask for
SHORT_TIMEOUT = 3.0  # seconds that a stranger has at most, handshake included or not

_KEEP_ALIVE = 30.0  # seconds between two requests over one HTTP connection
_PERIOD = 0.25  # seconds between two looks at the connections
_MOMENT = 0.005  # seconds between two looks at what is arriving


class HttpConnection(web.RequestHandler):
    """aiohttp's handler of one connection, which refuses in JSON too what never reaches a route."""

    admitted = False  # has asked for something that it may ask for

    def __init__(self, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self.since = time.monotonic()
        self.opening: asyncio.Task[Any] | None = asyncio.current_task()  # asyncio's, which does the handshake of TLS

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A refusal of what is no HTTP, or encoded in a way that is not read here; the connection ends."""
        told = super().handle_error(request, status, exc, message)
        text = " ".join((message or "internal error").split())[:200]
        response = refusal(415 if isinstance(exc, ContentEncodingError) else told.status, text)
        response.headers["Server"] = SERVER
        response.force_close()
        return response


class Connections:
    """Makes protocols for accepted connections and cuts those that are too slow.

    `most` places are for who has asked for something that needs a token, and has brought it where there is one. All
    others are strangers: they end after SHORT_TIMEOUT, and beyond STRANGERS of them the oldest makes way for the next
    one. A request must arrive, and a reply be taken, within `timeout` seconds.
    """

    def __init__(self, runner: web.AppRunner, most: int, timeout: float, metrics: Metrics) -> None:
        self._runner = runner
        self._most = most
        self._timeout = timeout
        self._short_timeout = min(timeout, SHORT_TIMEOUT)
        self._metrics = metrics
        self._opening: set[HttpConnection] = set()  # in the handshake of TLS
        self._arriving: dict[asyncio.BaseTransport, float] = {}  # in the middle of a request's body: since when
        self._full: dict[asyncio.Transport, float] = {}  # a reply has not been taken: since when
        # what handlers do not foresee is logged elsewhere; what is no HTTP is answered and not worth a line
        self._quiet = logging.getLogger("hgrpo.server.http")
        self._quiet.setLevel(logging.CRITICAL)

    def accept(self) -> asyncio.Protocol:
        """The protocol of a new connection; where there is no room for one more stranger the oldest is cut."""
        server = self._runner.server
        assert server is not None
        strangers = self._strangers()
        if len(strangers) >= STRANGERS:
            self._cut_stranger(min(strangers, key=lambda handler: handler.since), "connections")
        handler = HttpConnection(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_KEEP_ALIVE,
            logger=self._quiet,
            access_log=None,
        )
        if handler.opening is not None:
            self._opening.add(handler)
            handler.opening.add_done_callback(lambda _: self._opening.discard(handler))
        return handler

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware, behind that of access: gives a connection a place, or answers 503 where there is none."""
        connection = request.protocol
        assert isinstance(connection, HttpConnection)
        if not connection.admitted:
            if request.path == OPEN_PATH:  # which says nothing about who asks
                response = await handler(request)
                response.force_close()
                return response
            if sum(one.admitted for one in self._handlers()) >= self._most:
                self._metrics.turned_away["connections"] += 1
                response = refusal(503, f"too many connections; allowed: {self._most}")
                response.force_close()
                return response
            connection.admitted = True
        return await handler(request)

    @contextmanager
    def receiving(self, request: web.Request) -> Iterator[None]:
        """While a request's body is being read."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        self._arriving[transport] = time.monotonic()
        try:
            yield
        finally:
            self._arriving.pop(transport, None)

    async def wait_for_requests(self, seconds: float) -> None:
        """Wait, at most for so long, until the requests that are arriving now are there in full; cut the others."""
        awaited, end = dict(self._arriving), time.monotonic() + seconds
        while late := awaited.items() & self._arriving.items():
            if time.monotonic() >= end:
                for transport, _ in late:
                    self._cut(transport, "timeout")
                return
            await asyncio.sleep(_MOMENT)

    async def watch(self) -> None:
        """Cut what is too slow, until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD)
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        for stranger in self._strangers():
            if stranger.since <= now - self._short_timeout:
                self._cut_stranger(stranger, "timeout")
        transports = [one.transport for one in self._handlers() if isinstance(one.transport, asyncio.Transport)]
        full = (transport for transport in transports if transport.get_write_buffer_size() > 0)
        self._full = {transport: self._full.get(transport, now) for transport in full}
        late = now - self._timeout
        for arriving, since in self._arriving.items():
            if since <= late:
                self._cut(arriving, "timeout")
        for transport, since in self._full.items():
            if since <= late:
                self._cut(transport, "slow_reader")

    def _handlers(self) -> list[HttpConnection]:
        server = self._runner.server
        return [] if server is None else [one for one in server.connections if isinstance(one, HttpConnection)]

    def _strangers(self) -> set[HttpConnection]:
        return self._opening | {one for one in self._handlers() if not one.admitted}

    def _cut_stranger(self, stranger: HttpConnection, why: str) -> None:
        if stranger.transport is not None:
            self._cut(stranger.transport, why)
        elif stranger in self._opening and stranger.opening is not None:
            self._opening.discard(stranger)
            self._metrics.turned_away[why] += 1
            stranger.opening.cancel()  # asyncio then closes the connection

    def _cut(self, transport: asyncio.BaseTransport | None, why: str) -> None:
        if isinstance(transport, asyncio.Transport) and (not transport.is_closing() or why == "slow_reader"):
            self._metrics.turned_away[why] += 1
            transport.abort()
