"""What differs where everything is encrypted: records instead of segments, and handshakes before anything is said."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.server_process import OBSERVATIONS, PATIENCE, Server, frame

from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.protocol.msgpack import pack, unpack
from sim2real.server.connections import MOST_UNADMITTED, UNADMITTED_TIMEOUT

pytestmark = pytest.mark.slow

MOST = 3  # connections


@pytest.fixture(scope="module")
def encrypted(policy_files: tuple[Path, Path], certificate: tuple[Path, Path]) -> Iterator[Server]:
    options = ("--certificate", certificate[0], "--private-key", certificate[1])
    running = Server(policy_files[0], *options, "--max-connections", str(MOST), "--request-timeout", "5")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.output, running.output


class Records:
    """A TLS client that says when its records leave."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")
        self._until(self._tls.do_handshake)

    def write(self, data: bytes) -> None:
        """One record, which stays here until `leave`."""
        self._tls.write(data)

    def leave(self) -> None:
        self._socket.sendall(self._outgoing.read())

    def read(self) -> bytes:
        received: list[bytes] = []
        self._until(lambda: received.append(self._tls.read(65536)))
        return received[0]

    def close(self) -> None:
        self._socket.close()

    def _until(self, act: Callable[[], object]) -> None:
        while True:
            try:
                act()
                break
            except ssl.SSLWantReadError:
                self.leave()
                data = self._socket.recv(65536)
                assert data, "the server hung up"
                self._incoming.write(data)
        self.leave()


def test_several_records_that_come_together_are_all_read(
    encrypted: Server, trust: ssl.SSLContext, one: OnnxPolicy
) -> None:
    client = Records(encrypted.port, trust)
    client.write(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    received = b""
    while b"safe_action" not in received:  # in the metadata, which come first
        received += client.read()
    for observation in OBSERVATIONS[:5]:
        client.write(frame(pack({"observation": observation})))
    client.leave()
    # a server's frames are those of a client but for the mask
    replies: list[np.ndarray] = []
    received = received.partition(b"\r\n\r\n")[2]
    while len(replies) < 6:
        replies, rest = [], received
        while len(rest) > 4 and rest[0] == 0x82:
            length, start = (rest[1], 2) if rest[1] < 126 else (int.from_bytes(rest[2:4], "big"), 4)
            if len(rest) < start + length:
                break
            replies.append(unpack(rest[start : start + length], 1 << 20, 1 << 16))
            rest = rest[start + length :]
        if len(replies) < 6:
            received += client.read()
    np.testing.assert_array_equal(
        [reply["actions"][0] for reply in replies[1:]], [one(observation) for observation in OBSERVATIONS[:5]]
    )
    client.close()


def test_handshakes_take_no_places_and_end_soon(encrypted: Server, trust: ssl.SSLContext) -> None:
    def healthy() -> bool:
        established.request("GET", "/v2")
        response = established.getresponse()
        response.read()
        return response.status == 200

    established = http.client.HTTPSConnection("127.0.0.1", encrypted.port, timeout=PATIENCE, context=trust)
    assert healthy()
    silent = [
        socket.create_connection(("127.0.0.1", encrypted.port), timeout=PATIENCE) for _ in range(MOST_UNADMITTED + 40)
    ]
    began = time.monotonic()
    for raw in silent[:40]:  # the oldest made way
        with contextlib.suppress(ConnectionError):
            assert raw.recv(1) == b""
    assert time.monotonic() - began < UNADMITTED_TIMEOUT - 0.5
    for _ in range(3):
        assert encrypted.ask("GET", "/v2", context=trust)[0] == 200
        assert healthy()
    for raw in silent:
        with contextlib.suppress(ConnectionError):
            assert raw.recv(1) == b""  # cut, for want of a handshake
        raw.close()
    assert time.monotonic() - began >= UNADMITTED_TIMEOUT - 0.5
    assert healthy()
    established.close()
