"""What an inference does besides answering, it does as well where it is answered sooner; and which heads count."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from raw_http import Client, parts, sequenced
from served import OBSERVATIONS, Server, write_policy

from sim2real.onnx_policy import OnnxPolicy
from sim2real.server import http_connection
from sim2real.server.http_connection import HttpConnection
from sim2real.server.recording import read


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
