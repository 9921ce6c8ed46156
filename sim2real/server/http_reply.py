"""A reply over HTTP/1.1, for aiohttp to send or as the bytes themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import web


class HttpReply(NamedTuple):
    """Status, headers (Content-Length and Date are added) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def to_response(self) -> web.Response:
        """What a handler of aiohttp returns."""
        return web.Response(body=self.body, status=self.status, headers=self.headers)

    def to_bytes(self) -> bytes:
        """The whole message, RFC 9112, 2.1."""
        return _head(self.status, tuple(self.headers.items()), len(self.body), int(time.time())) + self.body


def refusal(status: int, text: str) -> HttpReply:
    """`{"error": text}`, as the Open Inference Protocol has it."""
    return HttpReply(status, {"Content-Type": "application/json"}, json.dumps({"error": text}).encode())


@lru_cache(maxsize=64)  # replies to one client differ in their heads when a second has passed
def _head(status: int, headers: tuple[tuple[str, str], ...], size: int, second: int) -> bytes:
    all_headers = (*headers, ("Content-Length", str(size)), ("Date", formatdate(second, usegmt=True)))
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in all_headers)]
    return "\r\n".join((*lines, "", "")).encode("ascii")
