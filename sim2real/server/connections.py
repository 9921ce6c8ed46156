"""Limits that hold for every connection, whatever is spoken over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web
from aiohttp.typedefs import Handler

from sim2real.server.metrics import Metrics

_PERIOD = 0.25  # seconds between two looks at the connections


class Connections:
    """Makes protocols for accepted connections, at most `most`, and cuts those that take longer than `timeout` seconds
    to send a request or to take a reply. The cost of a request is two entries in a dictionary.
    """

    def __init__(self, runner: web.AppRunner, most: int, timeout: float, metrics: Metrics) -> None:
        self._runner = runner
        self._most = most
        self._timeout = timeout
        self._metrics = metrics
        self._opening = 0  # accepted, but not yet among the server's connections
        self._heard: set[web.RequestHandler] = set()  # have sent a request
        self._silent: dict[web.RequestHandler, float] = {}  # have not: since when
        self._sending: dict[asyncio.BaseTransport, float] = {}  # in the middle of a request's body: since when
        self._full: dict[asyncio.Transport, float] = {}  # a reply has not been taken: since when

    def accept(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        server = self._runner.server
        if server is None or len(server.connections) + self._opening >= self._most:
            self._metrics.turned_away["connections"] += 1
            return _Refusal()
        self._opening += 1
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._opened)  # one turn after the transport has told the protocol
        return server()

    def _opened(self) -> None:
        self._opening -= 1

    @web.middleware
    async def heard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware that notes that a connection has sent a request's head."""
        self._heard.add(request.protocol)
        server = self._runner.server
        if server is not None and len(server.connections) > self._most:  # TLS opens later than it is accepted
            self._metrics.turned_away["connections"] += 1
            return web.json_response({"error": "too many connections"}, status=503, headers={"Connection": "close"})
        return await handler(request)

    @contextmanager
    def receiving(self, request: web.Request) -> Iterator[None]:
        """While a request's body is being read."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        self._sending[transport] = time.monotonic()
        try:
            yield
        finally:
            self._sending.pop(transport, None)

    async def watch(self) -> None:
        """Cut what is too slow, until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD)
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        open_handlers = self._runner.server.connections if self._runner.server else []
        self._heard.intersection_update(open_handlers)
        silent = (handler for handler in open_handlers if handler not in self._heard)
        self._silent = {handler: self._silent.get(handler, now) for handler in silent}
        transports = [
            handler.transport for handler in open_handlers if isinstance(handler.transport, asyncio.Transport)
        ]
        full = (transport for transport in transports if transport.get_write_buffer_size() > 0)
        self._full = {transport: self._full.get(transport, now) for transport in full}
        late = now - self._timeout
        for handler, since in self._silent.items():
            if since <= late and isinstance(handler.transport, asyncio.Transport):
                self._cut(handler.transport, "timeout")
        for transport, since in self._sending.items():
            if since <= late and isinstance(transport, asyncio.Transport):
                self._cut(transport, "timeout")
        for transport, since in self._full.items():
            if since <= late:
                self._cut(transport, "slow_reader")

    def _cut(self, transport: asyncio.Transport, why: str) -> None:
        if not transport.is_closing() or why == "slow_reader":
            self._metrics.turned_away[why] += 1
            transport.abort()


class _Refusal(asyncio.Protocol):
    """Says that there is no room, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer before anything was asked."""
        if isinstance(transport, asyncio.Transport):
            transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            transport.close()
