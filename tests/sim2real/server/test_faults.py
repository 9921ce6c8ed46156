"""Clients that vanish, stall, flood and lie: nothing crashes or hangs, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import pytest
from support.bad_messages import KINDS, malformed
from support.server_process import OBSERVATIONS, PATIENCE, Server, converse, frame, is_cut, wait_until
from websockets.sync.client import connect

from sim2real.client.policy_client import PolicyClient
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.protocol.msgpack import pack, unpack

pytestmark = pytest.mark.slow

GOOD = pack({"observation": OBSERVATIONS[0]})
HEARTBEAT = 2.0  # of the server that tests share


class Bystander:
    """Another client, which wants its actions whatever happens."""

    def __init__(self, server: Server, policy: OnnxPolicy) -> None:
        self._client = PolicyClient(server.url(), timeout=PATIENCE)
        self._policy = policy
        self.flies()

    def flies(self) -> None:
        for observation in OBSERVATIONS[:5]:
            np.testing.assert_array_equal(self._client.infer(observation).action, self._policy(observation))

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def bystander(server: Server, one: OnnxPolicy) -> Iterator[Bystander]:
    """Flies before, whenever asked, and afterwards; the server is then the same process with no one left."""
    other = Bystander(server, one)
    yield other
    other.flies()
    other.close()
    assert server.process.poll() is None
    wait_until(lambda: server.status()["metrics"]["conversations"] == 0)


@pytest.mark.parametrize("cut", [1, 3, 7, 30, len(frame(GOOD)) - 1])
@pytest.mark.parametrize("reset", [True, False])
def test_a_client_that_vanishes_in_the_middle_of_a_message(
    server: Server, bystander: Bystander, cut: int, reset: bool
) -> None:
    raw = converse(server.port)
    raw.sendall(frame(GOOD)[:cut])
    bystander.flies()
    if reset:  # RST instead of FIN
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def test_a_client_that_falls_silent_in_the_middle_of_a_message_is_cut(server: Server, bystander: Bystander) -> None:
    raw = converse(server.port)
    raw.sendall(frame(GOOD)[:20])
    bystander.flies()
    assert is_cut(raw, bystander.flies)  # no answer to the pings
    raw.close()


def test_a_message_that_drips_in_byte_by_byte_is_cut(server: Server, bystander: Bystander) -> None:
    raw = converse(server.port)
    began, cut = time.monotonic(), False
    for byte in frame(bytes(1000)):
        try:
            raw.sendall(bytes([byte]))
        except ConnectionError:
            cut = True
            break
        time.sleep(0.05)
        bystander.flies()
    assert cut
    assert 1.5 * HEARTBEAT - 0.1 < time.monotonic() - began < 3.0 * HEARTBEAT
    raw.close()


def test_pings_before_a_reset_write_no_log_lines(server: Server, bystander: Bystander) -> None:
    before = server.output
    for reset in (True, False) * 5:
        raw = converse(server.port)
        raw.sendall(frame(b"ping", opcode=9) * 2000)
        if reset:  # RST instead of FIN
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
        bystander.flies()
    wait_until(lambda: server.status()["metrics"]["conversations"] == 1)
    assert server.output == before


@pytest.mark.parametrize(
    "data",
    [
        frame(GOOD, first=0xF0),  # reserved bits
        frame(GOOD, opcode=5),  # a reserved kind
        bytes([0x82, 0xFF]) + (2**62).to_bytes(8, "big") + bytes(4),  # 4 EiB are announced
        bytes([0x82, 0xFF]) + (2**20).to_bytes(8, "big") + bytes(4) + bytes(1000),
        frame(GOOD, opcode=0),  # goes on with what never began
        frame(b"\xff\xfe", opcode=1),  # no UTF-8
        frame(bytes(200), opcode=9),  # a ping that is too long
    ],
)
def test_frames_against_the_rules_end_that_connection_only(server: Server, bystander: Bystander, data: bytes) -> None:
    raw = converse(server.port)
    raw.sendall(data)
    bystander.flies()
    assert is_cut(raw, bystander.flies)
    raw.close()


def test_half_frames_become_whole_ones(server: Server, bystander: Bystander, one: OnnxPolicy) -> None:
    with connect(server.url(), compression=None) as client:
        client.recv()
        client.send([GOOD[:10], GOOD[10:11], GOOD[11:]])  # three fragments
        np.testing.assert_array_equal(unpack(client.recv(), 10_000)["actions"][0], one(OBSERVATIONS[0]))
    raw = converse(server.port)
    for byte in frame(GOOD):
        raw.sendall(bytes([byte]))
    bystander.flies()
    while b"actions" not in raw.recv(65536):
        pass
    raw.close()


def test_malformed_frames_over_a_socket(server: Server, bystander: Bystander, one: OnnxPolicy) -> None:
    generator = random.Random(1)
    with connect(server.url(), compression=None) as client:
        client.recv()
        for index in range(360):
            kind = KINDS[index % len(KINDS)]
            client.send(malformed(kind, generator))
            answer = client.recv()
            if isinstance(answer, str):
                assert set(json.loads(answer)) == {"error", "reason", "sequence"}
                assert "Traceback" not in answer
            else:
                assert kind == "flipped"
            if index % 60 == 0:
                bystander.flies()
        client.send(GOOD)
        np.testing.assert_array_equal(unpack(client.recv(), 10_000)["actions"][0], one(OBSERVATIONS[0]))
    rejected = server.status()["metrics"]["rejected"]
    assert {"malformed", "dtype", "shape", "not_finite", "out_of_range"} <= {entry["reason"] for entry in rejected}


def test_a_client_that_never_reads_is_cut(server: Server, bystander: Bystander) -> None:
    raw = converse(server.port, receive_buffer=4096)
    raw.settimeout(0.5)
    requests = frame(GOOD) * 500
    with contextlib.suppress(TimeoutError, ConnectionError):
        for _ in range(200):  # until the server takes no more
            raw.sendall(requests)
            bystander.flies()
    bystander.flies()

    def cut() -> int:
        bystander.flies()
        return server.status()["metrics"]["turned_away"].get("slow_reader", 0)

    assert wait_until(cut) >= 1
    assert is_cut(raw, bystander.flies)
    raw.close()


def test_requests_that_never_end_are_cut(server: Server, bystander: Bystander) -> None:
    unended = (
        b"",
        b"GET / HT",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ",
        b"POST /v2/models/one/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    )
    asking = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) for _ in unended]
    for raw, data in zip(asking, unended, strict=True):
        raw.sendall(data)
    for raw in asking:
        bystander.flies()
        assert is_cut(raw, bystander.flies)
        raw.close()


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 5000, b"A" * 20_000])
def test_what_is_no_http_is_refused_without_a_traceback(server: Server, bystander: Bystander, data: bytes) -> None:
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    answer = b""
    with contextlib.suppress(ConnectionError):
        raw.sendall(data)
        while received := raw.recv(65536):
            answer += received
    assert b"Traceback" not in answer
    raw.close()


def test_connections_beyond_the_limit_are_turned_away(server: Server, bystander: Bystander) -> None:
    wait_until(lambda: server.status()["metrics"]["conversations"] == 1)
    asking = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) for _ in range(16)]
    answers = []
    for raw in asking:
        raw.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answers.append(raw.recv(100))
        bystander.flies()
    for raw in asking:
        raw.close()
    assert sum(answer.startswith(b"HTTP/1.1 503") for answer in answers) >= 16 - 11
    wait_until(lambda: server.ask("GET", "/healthz")[0] == 200)
