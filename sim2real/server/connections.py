"""Limits of connections, for every protocol."""

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

MOST_UNADMITTED = 256  # connections without an allowed request yet
UNADMITTED_TIMEOUT = 3.0  # longest time of such a connection [s], with or without a TLS handshake

_KEEP_ALIVE = 30.0  # longest time between two requests over one HTTP connection [s]
_PERIOD = 0.25  # time between two checks of the connections [s]
_ARRIVAL_PERIOD = 0.005  # time between two checks of arriving requests [s]


class HttpConnection(web.RequestHandler):
    """aiohttp's handler of one connection; it also refuses in JSON if no route is reached."""

    admitted = False  # whether an allowed request has come

    def __init__(self, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self.since = time.monotonic()
        self.opening: asyncio.Task[Any] | None = asyncio.current_task()  # the task of asyncio for the TLS handshake

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Refuse invalid HTTP or an unsupported encoding, and close the connection.

        Args:
            request: The request, as far as it was read.
            status: Status of aiohttp's own reply.
            exc: The error.
            message: Its description.
        """
        default = super().handle_error(request, status, exc, message)
        text = " ".join((message or "internal error").split())[:200]
        response = refusal(415 if isinstance(exc, ContentEncodingError) else default.status, text)
        response.headers["Server"] = SERVER
        response.force_close()
        return response


class Connections:
    """Creates the protocols of accepted connections and cuts slow ones.

    A connection is admitted after its first allowed request, with the token if the server has one. Other connections
    end after UNADMITTED_TIMEOUT. There are at most MOST_UNADMITTED of them; a new one replaces the oldest.

    Args:
        runner: Runner of the application.
        most: Most admitted connections.
        timeout: Time in which a request has to arrive, and in which a reply has to be read [s].
        metrics: Counters of the server.
    """

    def __init__(self, runner: web.AppRunner, most: int, timeout: float, metrics: Metrics) -> None:
        self._runner = runner
        self._most = most
        self._timeout = timeout
        self._short_timeout = min(timeout, UNADMITTED_TIMEOUT)
        self._metrics = metrics
        self._opening: set[HttpConnection] = set()  # during the TLS handshake
        self._arriving: dict[asyncio.BaseTransport, float] = {}  # receiving the body of a request, with the start
        self._full: dict[asyncio.Transport, float] = {}  # with an unread reply, and since when
        # exceptions of handlers are logged elsewhere; invalid HTTP gets a reply and no log line
        self._quiet = logging.getLogger("hgrpo.server.http")
        self._quiet.setLevel(logging.CRITICAL)

    def accept(self) -> asyncio.Protocol:
        """The protocol of a new connection.

        Cuts the oldest one that is not admitted if there are too many.
        """
        server = self._runner.server
        assert server is not None
        unadmitted = self._unadmitted()
        if len(unadmitted) >= MOST_UNADMITTED:
            self._cut_unadmitted(min(unadmitted, key=lambda handler: handler.since), "connections")
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
        """Middleware after the access control: admit a connection or reply 503."""
        connection = request.protocol
        assert isinstance(connection, HttpConnection)
        if not connection.admitted:
            if request.path == OPEN_PATH:  # it is open to everybody, so it admits nobody
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
        """Context of reading the body of a request."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has disconnected")
        self._arriving[transport] = time.monotonic()
        try:
            yield
        finally:
            self._arriving.pop(transport, None)

    async def wait_for_requests(self, seconds: float) -> None:
        """Wait until the requests that are arriving now are complete; after `seconds`, cut the others."""
        awaited, end = dict(self._arriving), time.monotonic() + seconds
        while late := awaited.items() & self._arriving.items():
            if time.monotonic() >= end:
                for transport, _ in late:
                    self._cut(transport, "timeout")
                return
            await asyncio.sleep(_ARRIVAL_PERIOD)

    async def watch(self) -> None:
        """Cut slow connections, until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD)
            self._cut_slow(time.monotonic())

    def _cut_slow(self, now: float) -> None:
        for connection in self._unadmitted():
            if connection.since <= now - self._short_timeout:
                self._cut_unadmitted(connection, "timeout")
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

    def _unadmitted(self) -> set[HttpConnection]:
        return self._opening | {one for one in self._handlers() if not one.admitted}

    def _cut_unadmitted(self, connection: HttpConnection, why: str) -> None:
        if connection.transport is not None:
            self._cut(connection.transport, why)
        elif connection in self._opening and connection.opening is not None:
            self._opening.discard(connection)
            self._metrics.turned_away[why] += 1
            connection.opening.cancel()  # asyncio then closes the connection

    def _cut(self, transport: asyncio.BaseTransport | None, why: str) -> None:
        if isinstance(transport, asyncio.Transport) and (not transport.is_closing() or why == "slow_reader"):
            self._metrics.turned_away[why] += 1
            transport.abort()
