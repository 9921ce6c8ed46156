"""Requests whose head was answered before: the same answers sooner, and everything else as aiohttp has it.

A reply with a Server header is aiohttp's; one without was given in the turn that brought the request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from served import OBSERVATIONS, PATIENCE, Server, is_cut, wait_until, write_policy
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import connect

from sim2real.onnx_policy import OnnxPolicy
from sim2real.server import http_connection
from sim2real.server.http_connection import HttpConnection
from sim2real.server.recording import read


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def sooner(self) -> bool:
        return "server" not in self.headers

    @property
    def action(self) -> np.ndarray:
        return np.frombuffer(self.body[int(self.headers["inference-header-content-length"]) :], "<f4")

    @property
    def envelope(self) -> Any:
        return json.loads(self.body[: int(self.headers.get("inference-header-content-length", len(self.body)))])


class Client:
    """Speaks HTTP over a socket by hand."""

    def __init__(self, server: Server) -> None:
        self.raw = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        self._received = b""

    def reply(self) -> Reply:
        while b"\r\n\r\n" not in self._received:
            self._more()
        head, _, rest = self._received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers["content-length"])
        while len(rest) < size:
            self._more()
            rest = self._received.partition(b"\r\n\r\n")[2]
        self._received = rest[size:]
        return Reply(int(status.split()[1]), headers, rest[:size])

    def ask(self, *parts: bytes) -> Reply:
        for part in parts:
            self.raw.sendall(part)
        return self.reply()

    def _more(self) -> None:
        data = self.raw.recv(65536)
        assert data, "the server has hung up"
        self._received += data


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


def parts(
    observation: np.ndarray, head: str = "", identity: str = "", path: str = "/v2/models/one/infer"
) -> tuple[bytes, bytes]:
    """Head and body of an inference, as http.client sends them: one after the other."""
    tensor = {"name": "observation", "shape": [3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}
    named = {"id": identity} if identity else {}
    text = json.dumps({**named, "inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    body = text + observation.astype("<f4").tobytes()
    lines = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nInference-Header-Content-Length: {len(text)}\r\n{head}"
    return f"{lines}Content-Length: {len(body)}\r\n\r\n".encode(), body


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
    server: Server, one: OnnxPolicy, request_line: str
) -> None:
    client = Client(server)
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
            client = Client(server)
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


def test_streams_guards_counts_and_records_are_those_of_any_request(tmp_path: Path, one: OnnxPolicy) -> None:
    running = Server(write_policy(tmp_path / "one.onnx", 0), "--slew", "5", "--record", tmp_path / "recordings")
    client = Client(running)
    far = np.array([-9.0, 9.0, 9.0])
    steps = ((0, OBSERVATIONS[0], "start"), (3, far, ""), (4, far, ""), (4, far, ""), (5, far, "end"), (6, far, ""))
    replies = []
    for number, observation, mark in steps:
        for identity in ("a", "b"):  # the first of a stream is aiohttp's, the second's are not
            replies.append(client.ask(*sequenced(observation, identity, number, mark)))
    assert [reply.status for reply in replies] == [200] * 6 + [409] * 2 + [200] * 2 + [400] * 2
    assert sum(reply.sooner for reply in replies) >= 8
    assert [reply.envelope["parameters"]["limited"] for reply in replies[:6]] == [False, False, True, True, True, True]
    for first, second in zip(replies[:10:2], replies[1:10:2], strict=True):
        if first.status == 200:
            np.testing.assert_array_equal(first.action, second.action)
    counts = running.status()["metrics"]
    assert sum(sum(entry["counts"]) for entry in counts["latency"] if entry["protocol"] == "http") == 8
    assert {(entry["reason"], entry["count"]) for entry in counts["rejected"]} == {("stale", 2), ("history", 2)}
    client.raw.close()
    assert running.stop() == 0
    _, recorded = read(next((tmp_path / "recordings").iterdir()))
    sent = [reply.action for reply in replies if reply.status == 200]
    np.testing.assert_array_equal([step.action[0] for step in recorded], sent)


def sequenced(observation: np.ndarray, stream: str, number: int, mark: str) -> tuple[bytes, bytes]:
    """An inference of a stream, of one length whatever it says."""
    tensor = {"name": "observation", "shape": [3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}
    marks = {f"sequence_{name}": name == mark for name in ("start", "end")}
    parameters = {"binary_data_output": True, "sequence_id": stream, "sequence_number": number, **marks}
    text = json.dumps({"inputs": [tensor], "parameters": parameters}).encode().ljust(400)
    body = text + observation.astype("<f4").tobytes()
    head = "POST /v2/models/one/infer HTTP/1.1\r\nHost: localhost\r\nInference-Header-Content-Length: 400\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body


def test_a_version_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    running = Server(write_policy(tmp_path / "one.onnx", 0))
    assert running.ask("POST", "/v2/repository/models/one/load")[0] == 200
    client = Client(running)

    def ask(number: int, mark: str, version: str = "") -> tuple[int, bool]:
        head, body = sequenced(OBSERVATIONS[0], "a", number, mark)
        reply = client.ask(head.replace(b"/infer", f"{version}/infer".encode()), body)
        return reply.status, reply.sooner

    assert ask(1, "start") == (200, False)
    assert ask(2, "", "/versions/2") == (200, False)
    assert ask(3, "", "/versions/2") == (200, True)
    assert running.ask("POST", "/v2/repository/models/one/rollback")[0] == 200
    for mark in ("start", "end", ""):
        assert ask(6, mark, "/versions/2") == (404, True)
    assert ask(4, "") == (200, True)  # the stream is alive, and 6 was not taken
    client.raw.close()
    assert running.stop() == 0


def test_another_version_answers_repetitions_once_it_is_served(tmp_path: Path) -> None:
    running = Server(write_policy(tmp_path / "one.onnx", 0))
    client = Client(running)
    assert [client.ask(*parts(OBSERVATIONS[0])).envelope["model_version"] for _ in range(2)] == ["1", "1"]
    write_policy(tmp_path / "one.onnx", 1)
    assert running.ask("POST", "/v2/repository/models/one/load")[0] == 200
    reply = client.ask(*parts(OBSERVATIONS[0]))
    assert (reply.sooner, reply.envelope["model_version"]) == (True, "2")
    np.testing.assert_array_equal(reply.action, OnnxPolicy(tmp_path / "one.onnx")(OBSERVATIONS[0]))
    client.raw.close()
    assert running.stop() == 0


@pytest.mark.parametrize("repetitions", [0, 2])
def test_a_request_in_flight_is_answered_before_the_server_stops(
    policy_files: tuple[Path, Path], repetitions: int
) -> None:
    running = Server(policy_files[0], "--shutdown-timeout", "60")
    client, idle = Client(running), Client(running)
    for _ in range(repetitions):
        client.ask(*parts(OBSERVATIONS[0]))
    idle.ask(*parts(OBSERVATIONS[0]))
    head, body = parts(OBSERVATIONS[1])
    client.raw.sendall(head)
    assert running.ask("GET", "/healthz")[0] == 200  # the head has arrived, then
    running.process.terminate()
    wait_until(lambda: not accepts(running))
    reply = client.ask(body)
    assert reply.sooner is (repetitions > 0)
    np.testing.assert_array_equal(reply.action, OnnxPolicy(policy_files[0])(OBSERVATIONS[1]))
    for asking in (client, idle):
        assert is_cut(asking.raw)
        asking.raw.close()
    assert running.process.wait(PATIENCE) == 0
    running.stop()


def test_a_stop_takes_no_longer_than_it_may_and_tells_websockets_at_once(policy_files: tuple[Path, Path]) -> None:
    running = Server(policy_files[0], "--shutdown-timeout", "4")
    late, other = Client(running), Client(running)
    late.ask(*parts(OBSERVATIONS[0]))
    for raw in (late.raw, other.raw):
        raw.sendall(parts(OBSERVATIONS[0])[0])
    with connect(running.url(), compression=None) as conversation:
        conversation.recv()
        began = time.monotonic()
        running.process.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            conversation.recv(PATIENCE)
        told = time.monotonic() - began
    assert closed.value.rcvd
    assert closed.value.rcvd.code == CloseCode.GOING_AWAY
    assert running.process.wait(PATIENCE) == 0
    took = time.monotonic() - began
    assert told < 4.0 <= took < 7.9, "once the shutdown's timeout, not twice"
    for client in (late, other):
        client.raw.close()
    running.stop()


def accepts(server: Server) -> bool:
    """Whether it still listens."""
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE).close()
    except ConnectionError:
        return False
    return True


class Handler:
    """Stands in for aiohttp's handler, and remembers what it was given."""

    def __init__(self) -> None:
        self.given = b""

    def connection_made(self, transport: object) -> None: ...

    def data_received(self, data: bytes) -> None:
        self.given += data


class Transport(asyncio.Transport):
    """Remembers what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


class Exchange:
    """A connection between such a handler and such a transport."""

    def __init__(self) -> None:
        self.handler, self.transport = Handler(), Transport()
        self._connection = HttpConnection(self.handler, {})  # type: ignore[arg-type]
        self._connection.connection_made(self.transport)

    def receive(self, data: bytes) -> None:
        self._connection.get_buffer(-1)[: len(data)] = data
        self._connection.buffer_updated(len(data))

    def answer(self, message: bytes) -> None:
        """The handler has read a message, and answers it."""
        from aiohttp import HttpVersion11
        from aiohttp.test_utils import make_mocked_request

        head, _, _ = message.partition(b"\r\n\r\n")
        fields = [line.decode().split(": ") for line in head.split(b"\r\n")[1:]]
        request = make_mocked_request("POST", "/x", [tuple(field) for field in fields], version=HttpVersion11)
        self._connection.repeat_with(lambda body: b"<" + body + b">")
        self._connection.finished(request)


def message(body: bytes, extra: bytes = b"") -> bytes:
    return BEGINNING + extra + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


BEGINNING = b"POST /x HTTP/1.1\r\n"


def test_a_head_is_aiohttp_s_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(http_connection.time, "monotonic", lambda: now)
    exchange, asked = Exchange(), message(b"ab")
    exchange.receive(asked)
    assert exchange.handler.given == asked
    exchange.answer(asked)
    exchange.receive(asked)
    now += http_connection.RENEWAL
    exchange.receive(asked)
    assert (exchange.handler.given, exchange.transport.written) == (asked, b"<ab><ab>")
    now += 0.1
    exchange.receive(asked)
    assert exchange.handler.given == 2 * asked
    exchange.receive(asked)  # aiohttp has not answered yet
    assert exchange.handler.given == 3 * asked


def test_no_head_is_remembered_but_those_that_the_handler_has_read() -> None:
    """After a request whose answer went unnoticed, bodies must not pass for heads, however they are chosen."""
    exchange, victim = Exchange(), message(b"victim")
    head = victim[: -len(b"victim")]
    exchange.receive(message(b""))
    planted = head.ljust(400, b"z")
    second = message(planted.rjust(1000, b"q"), b"X: %s\r\n")
    second = message(planted.rjust(1000, b"q"), b"X: %s\r\n" % (b"y" * (400 - second.index(b"\r\n\r\n") - 2)))
    assert second.index(b"\r\n\r\n") + 4 == 400
    rest = 400 + len(message(bytes(2000))) - 2000 - len(head)
    third = message((BEGINNING + b"X: ").ljust(rest, b"w").rjust(2000, b"q"))
    for asked in (second, third, message(b"{}")):
        exchange.receive(asked)
        exchange.answer(asked)
    before = exchange.handler.given
    exchange.receive(victim)
    assert exchange.handler.given == before + victim or exchange.transport.written.endswith(b"<victim>")
