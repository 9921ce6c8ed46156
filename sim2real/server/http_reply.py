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
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"{_status_line(self.status)}{headers}Content-Length: {len(self.body)}\r\n{_date(int(time.time()))}\r\n"
        return head.encode("ascii") + self.body


def refusal(status: int, text: str) -> HttpReply:
    """`{"error": text}`, as the Open Inference Protocol has it."""
    return HttpReply(status, {"Content-Type": "application/json"}, json.dumps({"error": text}).encode())


@lru_cache(maxsize=32)
def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\n"
