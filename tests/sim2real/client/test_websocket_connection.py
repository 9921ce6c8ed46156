"""A client's connection against a server that answers when it is told to, and networks that fail."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator

import pytest

websockets = pytest.importorskip("websockets.server", reason="the extra 'serve' is not installed")

from websockets.frames import CloseCode, Frame, Opcode  # noqa: E402
from websockets.http11 import Request  # noqa: E402

from sim2real.client.websocket_connection import WebSocketConnection  # noqa: E402

PATIENCE = 60.0  # seconds, of tests that would otherwise hang


class Peer:
    """The other side of one connection, which reads and writes only when it is asked."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.url = f"ws://127.0.0.1:{self._listening.getsockname()[1]}/"
        self.protocol = websockets.ServerProtocol(max_size=None)
        self._thread = threading.Thread(target=self._shake_hands)
        self._thread.start()
        self.client = WebSocketConnection(self.url, {}, time.monotonic() + PATIENCE)
        self._thread.join(PATIENCE)

    def _shake_hands(self) -> None:
        self.socket = self._listening.accept()[0]
        self.socket.settimeout(PATIENCE)
        while not (events := self.read()):
            pass
        assert isinstance(events[0], Request)
        self.protocol.send_response(self.protocol.accept(events[0]))
        self.write()

    def read(self) -> list[object]:
        self.protocol.receive_data(self.socket.recv(65536))
        return self.protocol.events_received()

    def write(self) -> None:
        self.socket.sendall(b"".join(self.protocol.data_to_send()))

    def close(self) -> None:
        self.client.close(time.monotonic() + 0.1)
        self.socket.close()
        self._listening.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    other = Peer()
    yield other
    other.close()


def soon() -> float:
    return time.monotonic() + PATIENCE


def test_messages_go_both_ways_and_pings_are_answered(peer: Peer) -> None:
    peer.client.send(b"there", soon())
    (frame,) = peer.read()
    assert isinstance(frame, Frame)
    assert frame.data == b"there"
    peer.protocol.send_ping(b"are you there?")
    peer.protocol.send_binary(b"and back")
    peer.protocol.send_text(b"in words")
    peer.write()
    assert peer.client.receive(soon()) == (b"and back", False)
    assert peer.client.receive(soon()) == (b"in words", True)
    (pong,) = peer.read()
    assert isinstance(pong, Frame)
    assert (pong.opcode, pong.data) == (Opcode.PONG, b"are you there?")


def test_a_message_that_was_half_sent_at_the_deadline_is_whole_in_the_end(peer: Peer) -> None:
    message, sent = bytes(range(256)) * 40, 0

    def fill_the_sockets() -> None:
        nonlocal sent
        while True:
            peer.client.send(message, time.monotonic() + 0.2)
            sent += 1

    with pytest.raises(TimeoutError, match=f"no answer in time from {peer.url}"):
        fill_the_sockets()
    with pytest.raises(TimeoutError):
        peer.client.send(message, time.monotonic() + 0.05)  # nothing of it is taken
    received: list[bytes] = []

    def read_all() -> None:
        while len(received) < sent + 2:
            received.extend(bytes(frame.data) for frame in peer.read() if isinstance(frame, Frame))

    reading = threading.Thread(target=read_all)
    reading.start()
    peer.client.send(b"the last one", soon())
    reading.join(PATIENCE)
    assert received == [message] * (sent + 1) + [b"the last one"]


def test_a_goodbye_is_told_with_its_reason(peer: Peer) -> None:
    peer.protocol.send_close(CloseCode.GOING_AWAY, "server stops")
    peer.write()
    with pytest.raises(ConnectionResetError, match=rf"{peer.url} has ended the connection: 1001 .*server stops"):
        peer.client.receive(soon())
    with pytest.raises(ConnectionResetError, match="has ended"):
        peer.client.send(b"anything", soon())


def test_an_end_without_a_goodbye(peer: Peer) -> None:
    peer.socket.close()
    with pytest.raises(ConnectionError, match=peer.url):
        peer.client.receive(soon())


@pytest.mark.parametrize(
    "error", [OSError(errno.ENETUNREACH, "Network is unreachable"), socket.gaierror(-2, "unknown")]
)
def test_networks_that_fail_are_connection_errors(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(ConnectionError, match=rf"^ws://robot:8000/: {error.strerror}$"):
        WebSocketConnection("ws://robot:8000/", {}, soon())


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(ConnectionRefusedError, match=f"^{url}: connection refused: .*$"):
        WebSocketConnection(url, {}, soon())


def test_a_deadline_that_has_passed() -> None:
    with pytest.raises(TimeoutError, match="no answer in time from ws://127"):
        WebSocketConnection("ws://127.0.0.1:1/", {}, time.monotonic() - 1.0)


def test_a_reason_does_nothing_to_the_terminal(peer: Peer) -> None:
    peer.protocol.send_close(CloseCode.GOING_AWAY, "\x1b[2Jstops\r")
    peer.write()
    with pytest.raises(ConnectionResetError) as ended:
        peer.client.receive(soon())
    assert str(ended.value).endswith(r" \x1b[2Jstops ")


def test_a_handshake_does_nothing_to_the_terminal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            with listening.accept()[0] as other:
                other.recv(65536)
                other.sendall(b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: \x9b31m\r\n\r\n")

        refusing = threading.Thread(target=refuse)
        refusing.start()
        with pytest.raises(ConnectionRefusedError, match=r"the server refuses .*\\x9b31m|\\udc9b31m") as refused:
            WebSocketConnection(f"ws://127.0.0.1:{listening.getsockname()[1]}/", {}, soon())
        refusing.join(PATIENCE)
    assert str(refused.value).isprintable()
