"""Requests whose head was answered before: the same answers sooner, and everything else as aiohttp has it.

A reply with a Server header is aiohttp's; one without was given in the turn that brought the request.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from raw_http import Client, parts
from served import OBSERVATIONS, PATIENCE, Server, is_cut, wait_until

from sim2real.onnx_policy import OnnxPolicy


@pytest.fixture(scope="module")
def patient(policy_files: tuple[Path, Path]) -> Iterator[Server]:
    """A server that waits longer for the rest of a request than any machine here is busy with something else."""
    running = Server(*policy_files, "--request-timeout", str(PATIENCE), "--max-observation", "100")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.output, running.output


@pytest.fixture
def client(patient: Server) -> Iterator[Client]:
    client = Client(patient)
    yield client
    client.raw.close()


def test_repetitions_are_answered_sooner_with_the_same_actions(client: Client, one: OnnxPolicy) -> None:
    replies = [client.ask(*parts(observation)) for observation in OBSERVATIONS]
    assert [reply.sooner for reply in replies] == [False] + [True] * (len(OBSERVATIONS) - 1)
    for reply, observation in zip(replies, OBSERVATIONS, strict=True):
        np.testing.assert_array_equal(reply.action, one(observation))
        assert {**reply.envelope, "parameters": None} == {**replies[0].envelope, "parameters": None}
        assert set(reply.envelope["parameters"]) == {"limited", "infer_ms"}
        assert reply.status == 200
    first, later = replies[0].headers, replies[-1].headers
    ours = {"content-type", "content-length", "date", "inference-header-content-length"}
    assert set(later) == ours
    assert set(first) == ours | {"server"}
    assert first["content-type"] == later["content-type"]


def test_in_one_piece_or_byte_by_byte(client: Client, one: OnnxPolicy) -> None:
    client.ask(*parts(OBSERVATIONS[0]))
    whole = b"".join(parts(OBSERVATIONS[1]))
    reply = client.ask(whole)
    assert reply.sooner
    np.testing.assert_array_equal(reply.action, one(OBSERVATIONS[1]))
    head, body = parts(OBSERVATIONS[2])
    reply = client.ask(head, *(bytes([byte]) for byte in body))
    np.testing.assert_array_equal(reply.action, one(OBSERVATIONS[2]))
    reply = client.ask(*(bytes([byte]) for byte in whole))  # of a head in pieces aiohttp makes something
    np.testing.assert_array_equal(reply.action, one(OBSERVATIONS[1]))
    assert client.ask(whole).status == 200


@pytest.mark.parametrize("seed", range(3))
def test_requests_cut_anywhere_and_run_together_are_answered_in_their_order(
    client: Client, one: OnnxPolicy, seed: int
) -> None:
    generator = random.Random(seed)
    sooner = 0
    for _ in range(60):
        batch = [generator.randrange(len(OBSERVATIONS)) for _ in range(generator.choice((1, 1, 1, 3)))]
        stream = b"".join(b"".join(parts(OBSERVATIONS[index], identity=str(index))) for index in batch)
        cuts = sorted(generator.randrange(len(stream)) for _ in range(generator.randrange(3)))
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            client.raw.sendall(stream[begin:end])
        for index in batch:
            reply = client.reply()
            sooner += reply.sooner
            assert reply.envelope["id"] == str(index)
            np.testing.assert_array_equal(reply.action, one(OBSERVATIONS[index]))
    assert sooner > 0


def test_several_heads_are_remembered_and_many_forgotten(client: Client) -> None:
    heads = [parts(OBSERVATIONS[0], f"X-Number: {number}\r\n") for number in range(40)]
    assert not any(client.ask(*heads[number]).sooner for number in range(4))
    assert all(client.ask(*heads[number % 4]).sooner for number in range(12))
    assert not any(client.ask(*request).sooner for request in heads[4:])
    assert client.ask(*heads[39]).sooner
    assert not client.ask(*heads[0]).sooner
    client.raw.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.reply().status == 200
    assert client.ask(*heads[39]).sooner
    for path in (b"GET /nothing", b"PUT /v2/health/live"):
        client.raw.sendall(path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.reply().status in (404, 405)
    assert client.ask(*heads[39]).sooner


def test_a_refusal_is_the_same_and_counted(client: Client, patient: Server, one: OnnxPolicy) -> None:
    def refusals() -> int:
        counts = patient.status()["metrics"]["rejected"]
        return sum(c["count"] for c in counts if (c["protocol"], c["reason"]) == ("http", "not_finite"))

    bad = np.array([0.0, np.nan, 0.0])
    before, first = refusals(), client.ask(*parts(bad))
    client.ask(*parts(OBSERVATIONS[0]))
    again = client.ask(*parts(bad))
    assert (again.sooner, again.status, again.body) == (True, first.status, first.body)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "observation 'v' is nan m/s" in again.envelope["error"]
    assert refusals() == before + 2
    np.testing.assert_array_equal(client.ask(*parts(OBSERVATIONS[1])).action, one(OBSERVATIONS[1]))


CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "request_line",
    [
        "Connection: close\r\n",
        "Content-Encoding: identity\r\n",
        "Expect: 100-continue\r\n",
        "Transfer-Encoding: chunked\r\n",
    ],
)
def test_what_is_more_than_a_head_and_a_body_stays_with_aiohttp(
    patient: Server, one: OnnxPolicy, request_line: str
) -> None:
    client = Client(patient)
    for observation in OBSERVATIONS[:3]:
        head, body = parts(observation, request_line)
        if "chunked" in request_line:
            head = b"".join(
                line + b"\r\n"
                for line in head.split(b"\r\n")
                if (line and b"Content-Length: " not in line) or b"Inf" in line
            )
            head, body = head + b"\r\n", CHUNKED % (len(body), body)
        client.raw.sendall(head)
        if "Expect" in request_line:
            assert client.raw.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        reply = client.ask(body)
        assert not reply.sooner
        np.testing.assert_array_equal(reply.action, one(observation))
        if "close" in request_line:
            assert client.raw.recv(1) == b""
            client.raw.close()
            client = Client(patient)
    client.raw.close()


def test_a_head_that_was_refused_is_refused_again(server: Server) -> None:
    client = Client(server)
    for _ in range(3):
        reply = client.ask(*parts(OBSERVATIONS[0], "Origin: http://elsewhere.example\r\n"))
        assert (reply.status, reply.sooner) == (403, False)
    for _ in range(3):
        reply = client.ask(*parts(OBSERVATIONS[0], path="/v2/models/three/infer"))
        assert (reply.status, reply.sooner) == (404, False)
    client.raw.close()


def test_a_repetition_that_never_ends_is_cut(server: Server) -> None:
    client = Client(server)
    client.ask(*parts(OBSERVATIONS[0]))
    head, body = parts(OBSERVATIONS[0])
    assert client.ask(head, body).sooner
    client.raw.sendall(head + body[:5])
    assert is_cut(client.raw)
    client.raw.close()


def test_a_client_that_never_reads_is_cut(server: Server) -> None:
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", server.port))
    before = server.status()["metrics"]["turned_away"].get("slow_reader", 0)
    raw.settimeout(0.5)
    request = b"".join(parts(OBSERVATIONS[0]))
    with contextlib.suppress(TimeoutError, ConnectionError):
        while True:  # until the server takes no more
            raw.sendall(request)
    wait_until(lambda: server.status()["metrics"]["turned_away"].get("slow_reader", 0) > before)
    assert is_cut(raw)
    raw.close()
