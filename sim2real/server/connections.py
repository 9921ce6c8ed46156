"""Limits that hold for every connection, whatever is spoken over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Handler

from sim2real.server.metrics import Metrics

_PERIOD = 0.25  # seconds between two looks at the connections
_MOMENT = 0.005  # seconds between two looks at what is arriving


class Connections:
    """Makes protocols for accepted connections, at most `most`, and cuts those that take longer than `timeout` seconds
    to send a request or to take a reply. The cost of a request is an entry in a dictionary while its body arrives.

    `encrypted` connections open only after a handshake, for which there are `timeout` seconds too.
    """

    def __init__(self, runner: web.AppRunner, most: int, timeout: float, metrics: Metrics, encrypted: bool) -> None:
        self._runner = runner
        self._most = most
        self._timeout = timeout
        self._metrics = metrics
        self._encrypted = encrypted
        self._opening: WeakKeyDictionary[_Opening, float] = WeakKeyDictionary()  # until when
        self._heard: set[web.RequestHandler] = set()  # have sent a request
        self._silent: dict[web.RequestHandler, float] = {}  # have not: since when
        self._arriving: dict[asyncio.BaseTransport, float] = {}  # in the middle of a request's body: since when
        self._full: dict[asyncio.Transport, float] = {}  # a reply has not been taken: since when

    def accept(self) -> asyncio.Protocol:
        """The protocol of a new connection.

        Raises ConnectionRefusedError where there is no room for an encrypted one, which asyncio then closes.
        """
        server, now = self._runner.server, time.monotonic()
        opening = sum(now < until for until in self._opening.values())
        if server is None or len(server.connections) + opening >= self._most:
            self._metrics.turned_away["connections"] += 1
            if self._encrypted:
                raise ConnectionRefusedError("too many connections")
            return _Refusal()
        protocol = _Opening(server(), self._opening)
        self._opening[protocol] = now + self._timeout
        return protocol

    @web.middleware
    async def heard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware that notes that a connection has sent a request's head."""
        self._heard.add(request.protocol)
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

    async def arrived(self, seconds: float) -> None:
        """Wait, at most for so long, until the requests that are arriving now are there in full; cut the others."""
        awaited, end = dict(self._arriving), time.monotonic() + seconds
        while late := awaited.items() & self._arriving.items():
            if time.monotonic() >= end:
                for transport, _ in late:
                    if isinstance(transport, asyncio.Transport):
                        self._cut(transport, "timeout")
                return
            await asyncio.sleep(_MOMENT)

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
        for transport, since in self._arriving.items():
            if since <= late and isinstance(transport, asyncio.Transport):
                self._cut(transport, "timeout")
        for transport, since in self._full.items():
            if since <= late:
                self._cut(transport, "slow_reader")

    def _cut(self, transport: asyncio.Transport, why: str) -> None:
        if not transport.is_closing() or why == "slow_reader":
            self._metrics.turned_away[why] += 1
            transport.abort()


class _Opening(asyncio.Protocol):
    """Stands in for a connection until it is open; asyncio lets go of it where a handshake fails."""

    def __init__(self, connection: web.RequestHandler, opening: WeakKeyDictionary[_Opening, float]) -> None:
        self._connection, self._all = connection, opening

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make way for the connection."""
        del self._all[self]
        transport.set_protocol(self._connection)
        self._connection.connection_made(transport)


class _Refusal(asyncio.Protocol):
    """Says that there is no room, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer before anything was asked."""
        if isinstance(transport, asyncio.Transport):
            transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            transport.close()
