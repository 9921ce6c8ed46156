"""A client that connects to what is no policy server, or to nowhere."""

from __future__ import annotations

import pytest
from support.scripted_server import PATIENCE, scripted

from hgrpo_errors import HgrpoError
from sim2real.client.policy_client import PolicyClient

SHORT = 0.3  # seconds, where a server is silent


def response(*lines: str, body: bytes = b"") -> bytes:
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + body


UPGRADE = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
HTML = b"<html><body>It works!\n</body></html>"
HANDSHAKES = {
    "nothing": b"",
    "noise": bytes(range(256)) * 10,
    "a line without end": b"x" * 100_000,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a web page": response("HTTP/1.1 200 OK", f"Content-Length: {len(HTML)}", "Content-Type: text/html", body=HTML),
    "an endless web page": response("HTTP/1.1 200 OK", "Content-Type: text/html", body=HTML * 100_000),
    "a page that claims to be huge": response("HTTP/1.1 200 OK", "Content-Length: 999999999999", body=HTML),
    "a page of no length": response("HTTP/1.1 200 OK", "Content-Length: -1", body=HTML),
    "a page in wrong chunks": response("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"zz\r\n" + HTML),
    "a redirect": response("HTTP/1.1 301 Moved Permanently", "Location: http://elsewhere/", "Content-Length: 0"),
    "a redirect to nowhere": response("HTTP/1.1 307 Temporary Redirect"),
    "who are you": response("HTTP/1.1 401 Unauthorized", "WWW-Authenticate: Bearer", "Content-Length: 0"),
    "a broken gateway": response("HTTP/1.0 502 Bad Gateway", body=HTML),
    "no status": response("HTTP/1.1 abc OK"),
    "an upgrade without a key": response(*UPGRADE),
    "an upgrade with another key": response(*UPGRADE, "Sec-WebSocket-Accept: " + "A" * 28),
    "an upgrade to something else": response(*UPGRADE[:1], "Upgrade: h2c", "Connection: Upgrade"),
    "an extension": response(*UPGRADE, "Sec-WebSocket-Accept: x", "Sec-WebSocket-Extensions: zip"),
    "headers without end": response(*UPGRADE[:1], *(f"X-{i}: y" for i in range(5000))),
    "no headers": response(*UPGRADE[:1], "this is none"),
    "half an answer": b"HTTP/1.1 101 Switching Proto",
}


@pytest.mark.parametrize("raw", HANDSHAKES.values(), ids=HANDSHAKES)
def test_what_is_no_websocket_server_is_a_connection_error_that_names_it(raw: bytes) -> None:
    with scripted(raw=raw) as server, pytest.raises(ConnectionError, match=f"^{server.url}: "):
        PolicyClient(server.url, timeout=PATIENCE)


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 101 Switching Proto"])
def test_a_server_that_is_silent_in_its_handshake_is_a_timeout(raw: bytes) -> None:
    with (
        scripted(raw=raw, stays=True) as server,
        pytest.raises(TimeoutError, match=f"no answer in time from {server.url}"),
    ):
        PolicyClient(server.url, timeout=SHORT)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hover.onnx",
        "http://h/",
        "ws://",
        "ws://h:port/",
        "ws://h:99999/",
        "ws://[::1/",
        f"ws://{'a' * 70}/",
    ],
)
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(HgrpoError, match="ws://HOST:PORT/"):
        PolicyClient(url, timeout=PATIENCE)


def test_a_token_that_would_be_more_than_a_header_is_refused() -> None:
    with pytest.raises(HgrpoError, match="printable ASCII"):
        PolicyClient("ws://127.0.0.1:1/", token="secret\r\nX-Other: 1")
