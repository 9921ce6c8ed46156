"""Common parts of replies over HTTP."""

from __future__ import annotations

from aiohttp import web

SERVER = "hgrpo"  # header Server, without versions


def refusal(status: int, text: str) -> web.Response:
    """`{"error": text}`, the form of the Open Inference Protocol."""
    return web.json_response({"error": text}, status=status)
