"""Who may have one of the server's places, and who only a moment of its time."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.raw_http import Client, sequenced
from support.server_process import OBSERVATIONS, PATIENCE, Server, is_cut

from sim2real.client.policy_client import PolicyClient
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.server.connections import MOST_UNADMITTED, UNADMITTED_TIMEOUT

pytestmark = pytest.mark.slow

TOKEN = "a token of 26 characters.."
MOST = 3
ALLOWED = f"GET /v2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
WITHOUT_TOKEN = b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def guarded(policy_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN)
    running = Server(policy_files[0], "--token-file", token, "--max-connections", str(MOST))
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.output, running.output


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def test_clients_without_a_token_do_not_shut_out_one_with_it(guarded: Server, one: OnnxPolicy) -> None:
    strangers = []
    for index in range(2 * MOST_UNADMITTED):
        strangers.append(connected(guarded))
        with contextlib.suppress(ConnectionError):
            strangers[-1].sendall((b"", b"GET / HT", WITHOUT_TOKEN)[index % 3])
    with PolicyClient(guarded.url(), token=TOKEN, timeout=PATIENCE) as client:
        np.testing.assert_array_equal(client.infer(OBSERVATIONS[0]).action, one(OBSERVATIONS[0]))
    for raw in strangers:
        raw.close()


def test_who_asks_for_nothing_has_a_short_time_and_who_was_let_in_stays(guarded: Server) -> None:
    resident = Client(guarded)
    assert resident.ask(ALLOWED).status == 200
    began, raw = time.monotonic(), connected(guarded)
    assert is_cut(raw)
    assert time.monotonic() - began >= UNADMITTED_TIMEOUT - 0.5
    assert resident.ask(ALLOWED).status == 200
    for client in (raw, resident.raw):
        client.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (WITHOUT_TOKEN, 401),
        (ALLOWED.replace(b"\r\nAuth", b"\r\nOrigin: http://elsewhere.example\r\nAuth"), 403),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ],
)
def test_answers_to_strangers_end_the_connection(guarded: Server, request_bytes: bytes, status: int) -> None:
    client = Client(guarded)
    reply = client.ask(request_bytes)
    assert (reply.status, reply.headers["connection"]) == (status, "close")
    assert client.raw.recv(1) == b""
    client.raw.close()


def test_places_are_for_as_many_as_there_are(guarded: Server) -> None:
    residents = [Client(guarded) for _ in range(MOST)]
    for client in residents:
        assert client.ask(ALLOWED).status == 200
    late = Client(guarded)
    reply = late.ask(ALLOWED)
    assert (reply.status, json.loads(reply.body)) == (503, {"error": f"too many connections; allowed: {MOST}"})
    assert late.raw.recv(1) == b""
    residents[0].raw.close()
    end = time.monotonic() + PATIENCE
    while guarded.ask("GET", "/v2", headers={"Authorization": f"Bearer {TOKEN}"})[0] != 200:
        assert time.monotonic() < end
    for client in (*residents, late):
        client.raw.close()


def test_streams_belong_to_the_token_over_whatever_connection(guarded: Server) -> None:
    token = f"\r\nAuthorization: Bearer {TOKEN}\r\nContent-L".encode()
    for number, mark, status in ((1, "start", 200), (2, "", 200), (2, "", 409), (3, "end", 200)):
        client = Client(guarded)
        head, body = sequenced(OBSERVATIONS[0], "arm", number, mark)
        assert client.ask(head.replace(b"\r\nContent-L", token), body).status == status
        client.raw.close()


def test_every_reply_names_the_server_once_and_no_version(guarded: Server) -> None:
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    conversation = ALLOWED.replace(b"/v2", b"/").replace(b"\r\n\r\n", b"\r\n" + upgrade + key)
    for request in (
        ALLOWED,
        WITHOUT_TOKEN,
        conversation,
        b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        b"no HTTP\r\n\r\n",
    ):
        raw = connected(guarded)
        raw.sendall(request)
        lines = raw.recv(65536).partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
        assert [line for line in lines if line.startswith(b"server:")] == [b"server: hgrpo"]
        raw.close()
