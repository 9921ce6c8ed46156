"""Tokens, TLS, and requests that a browser sends for another site."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.raw_http import Client
from support.server_process import OBSERVATIONS, PATIENCE, Server

from sim2real.client.policy_client import PolicyClient
from sim2real.policy.onnx_policy import OnnxPolicy

TOKEN = "a token of 26 characters.."
PATHS = ("/", "/metrics", "/status.json", "/v2", "/v2/models/one", "/nowhere")


@pytest.fixture(scope="module")
def guarded(
    policy_files: tuple[Path, Path], certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that other machines could reach, with a token and TLS."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN + "\n")
    options = ("--host", "0.0.0.0", "--token-file", token, "--certificate", certificate[0])
    running = Server(policy_files[0], *options, "--private-key", certificate[1])
    yield running
    assert running.stop() == 0


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


def test_it_says_that_others_can_reach_it_and_that_a_token_is_needed(guarded: Server) -> None:
    assert "other machines can reach 0.0.0.0" in guarded.output
    assert "every request except /healthz needs the token" in guarded.output
    assert "https://" in guarded.output
    assert TOKEN not in guarded.output


@pytest.mark.parametrize("path", PATHS)
def test_nothing_but_health_without_the_token(guarded: Server, trust: ssl.SSLContext, path: str) -> None:
    assert guarded.ask("GET", "/healthz", context=trust)[0] == 200
    wrong = (
        None,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer",
        "Bearer é",
        TOKEN,
        basic("x"),
        "Basic !",
        f"Digest {TOKEN}",
    )
    for authorization in wrong:
        headers = {} if authorization is None else {"Authorization": authorization.encode("utf-8")}
        status, body = guarded.ask("GET", path, headers=headers, context=trust)  # type: ignore[arg-type]
        assert (status, b"a token is needed" in body) == (401, True), authorization


def test_every_way_to_bring_it(guarded: Server, trust: ssl.SSLContext) -> None:
    for authorization in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"Api-Key {TOKEN}", basic(TOKEN)):
        assert guarded.ask("GET", "/v2", headers={"Authorization": authorization}, context=trust)[0] == 200
    assert guarded.ask("POST", "/v2/repository/models/one/load", b"", context=trust)[0] == 401


def test_conversations_need_it_too(guarded: Server, trust: ssl.SSLContext, one: OnnxPolicy) -> None:
    url = f"wss://127.0.0.1:{guarded.port}/"
    for token in (None, "wrong"):
        with pytest.raises(ConnectionRefusedError, match="401"):
            PolicyClient(url, token=token, timeout=PATIENCE, context=trust)
    with PolicyClient(url, token=TOKEN, timeout=PATIENCE, context=trust) as client:
        np.testing.assert_array_equal(client.infer(OBSERVATIONS[0]).action, one(OBSERVATIONS[0]))


def test_tls_is_the_only_door(guarded: Server) -> None:
    raw = socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE)
    raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        assert b"200" not in raw.recv(1000)
    raw.close()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        guarded.ask("GET", "/healthz", context=old)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[broken"}, 403),
        ({"Host": "elsewhere.example"}, 403),
        ({"Host": "127.0.0.1.elsewhere.example:8000"}, 403),
        ({"Host": "[broken"}, 403),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9000/"}, 403),
        ({"Host": "localhost:9000", "Origin": "http://a@localhost:9000"}, 403),
        ({"Host": "localhost:9000", "Origin": "ftp://localhost:9000"}, 403),
        ({"Host": "elsewhere.example@localhost"}, 403),
        ({"Host": "localhost/elsewhere.example"}, 403),
        ({"Host": "localhost?.elsewhere.example"}, 403),
        ({"Host": "localhost#.elsewhere.example"}, 403),
        ({"Host": "localhost:port"}, 403),
        ({"Host": "localhost:"}, 403),
        ({"Host": "LOCALHOST"}, 403),
        ({"Host": "::1"}, 403),
        ({"Host": "[127.0.0.1]"}, 403),
        ({"Host": "[::1]elsewhere"}, 403),
        ({"Host": "127.1"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "127.255.0.9"}, 200),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, 200),
        ({"Host": "localhost:9000", "Origin": "https://localhost:9000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
    ],
)
def test_other_sites_are_refused_where_no_token_is_asked_for(
    server: Server, headers: dict[str, str], status: int
) -> None:
    for method, path in (("GET", "/status.json"), ("GET", "/v2")):
        assert server.ask(method, path, headers=headers)[0] == status
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    if status == 403:
        key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        assert server.ask("GET", "/", headers={**upgrade, **key, **headers})[0] == 403
        assert server.ask("POST", "/v2/repository/models/one/load", b"", headers=headers)[0] == 403


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("", 403),
        ("Host: localhost\r\nHost: localhost\r\n", 403),
        ("Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://elsewhere.example\r\n", 403),
        ("Host: localhost\r\nOrigin: http://localhost\r\n", 200),
    ],
)
def test_headers_that_no_browser_sends(server: Server, lines: str, status: int) -> None:
    client = Client(server)
    assert client.ask(f"GET /v2 HTTP/1.1\r\n{lines}\r\n".encode()).status in {status, min(status, 400)}
    client.raw.close()
