"""Flow, heartbeat and goodbyes of a connection, between a real server's socket and a real client's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

web = pytest.importorskip("aiohttp.web", reason="the extra 'serve' is not installed")
websockets = pytest.importorskip("websockets.asyncio.client", reason="the extra 'serve' is not installed")

from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK  # noqa: E402
from websockets.frames import CloseCode  # noqa: E402

from sim2real.server.websocket_frames import Message  # noqa: E402
from sim2real.server.websocket_protocol import READ_BYTES, WebSocketProtocol  # noqa: E402

MOST = 200_000


class Echo(WebSocketProtocol[bytes]):
    """Sends back what comes, but for two messages that it breaks on; `events` are what it was asked to do."""

    def __init__(self, heartbeat: float) -> None:
        super().__init__(MOST, heartbeat)
        self.events: list[str] = []
        self.errors: list[Exception] = []

    def take(self, message: Message) -> bytes:
        self.events.append("take")
        if message.data == b"break at once":
            raise ZeroDivisionError
        return message.data

    def answer(self, request: bytes) -> None:
        self.events.append("answer")
        if request == b"break":
            raise ZeroDivisionError
        self.send(request)

    def broke(self, error: Exception) -> None:
        self.errors.append(error)


@asynccontextmanager
async def echo(heartbeat: float = 20.0) -> AsyncIterator[tuple[list[Echo], str]]:
    """Connections of a server, and its address."""
    protocols: list[Echo] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        handshake = web.WebSocketResponse(compress=False)
        await handshake.prepare(request)
        protocols.append(Echo(heartbeat))
        protocols[-1].take_over(request)
        await protocols[-1].ended
        return handshake

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield protocols, f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def run(test: Callable[[], Coroutine[object, object, None]]) -> None:
    async def within_a_minute() -> None:
        await asyncio.wait_for(test(), 60.0)

    asyncio.run(within_a_minute())


@pytest.mark.parametrize("size", [0, 1, 125, 126, READ_BYTES - 6, READ_BYTES + 1, 65535, 65536, MOST])
def test_messages_of_any_size_go_there_and_back(size: int) -> None:
    async def test() -> None:
        async with echo() as (_, url), websockets.connect(url) as client:
            message = bytes(range(256)) * (size // 256) + bytes(size % 256)
            for _ in range(3):
                await client.send(message)
                assert await client.recv() == message

    run(test)


def test_what_arrives_together_is_taken_before_the_first_is_answered() -> None:
    async def test() -> None:
        async with echo() as (protocols, url), websockets.connect(url) as client:
            await client.send(b"alone")
            assert await client.recv() == b"alone"
            assert protocols[0].events == ["take", "answer"]
            frame = bytes.fromhex("828100000000")
            client.transport.write(b"".join(frame + bytes([number]) for number in range(4)))
            assert [await client.recv() for _ in range(4)] == [bytes([number]) for number in range(4)]
            assert protocols[0].events[2:] == ["take"] * 4 + ["answer"] * 4

    run(test)


@pytest.mark.parametrize("message", [b"break", b"break at once"])
def test_what_breaks_is_told_here_and_ends_the_connection(message: bytes) -> None:
    async def test() -> None:
        async with echo() as (protocols, url), websockets.connect(url) as client:
            await client.send(message)
            with pytest.raises(ConnectionClosedError) as caught:
                await client.recv()
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (CloseCode.INTERNAL_ERROR, "internal error")
            await protocols[0].ended
            assert [type(error) for error in protocols[0].errors] == [ZeroDivisionError]

    run(test)


def test_goodbyes_from_either_side() -> None:
    async def test() -> None:
        async with echo() as (protocols, url):
            client = await websockets.connect(url)
            protocols[0].close(CloseCode.GOING_AWAY, "server stops")
            with pytest.raises(ConnectionClosedOK, match="server stops"):
                await client.recv()
            await protocols[0].ended
            client = await websockets.connect(url)
            await client.close(4000, "landed")
            assert client.close_code == 4000  # it was echoed
            await protocols[1].ended
            assert not any(protocol.errors for protocol in protocols)

    run(test)


def test_only_who_answers_pings_stays() -> None:
    async def test() -> None:
        async with echo(heartbeat=1.0) as (protocols, url):
            answering = await websockets.connect(url, ping_interval=None)
            deaf = await websockets.connect(url, ping_interval=None)
            deaf.transport.pause_reading()
            await protocols[1].ended
            await asyncio.sleep(1.6)  # longer than 1.5 heartbeats
            await answering.send(b"still here")
            assert await answering.recv() == b"still here"
            await answering.close()
            deaf.transport.abort()

    run(test)


def test_who_does_not_take_replies_is_not_read_until_he_does() -> None:
    async def test() -> None:
        async with echo() as (protocols, url), websockets.connect(url, max_queue=4) as client:
            message = bytes(100_000)
            sending = asyncio.ensure_future(_send(client, message, 200))  # 20 MB: more than sockets hold
            before = -1
            while before != len(protocols[0].events):  # until it stands still
                before = len(protocols[0].events)
                await asyncio.sleep(0.3)
            assert 0 < before < 400
            for _ in range(200):
                assert await client.recv() == message
            await sending
            assert len(protocols[0].events) == 400

    run(test)


async def _send(client: websockets.ClientConnection, message: bytes, times: int) -> None:
    for _ in range(times):
        await client.send(message)
