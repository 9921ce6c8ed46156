"""What every reply over HTTP has in common."""

from __future__ import annotations

from aiohttp import web

SERVER = "hgrpo"  # the header of that name, which says no versions


def refusal(status: int, text: str) -> web.Response:
    """`{"error": text}`, as the Open Inference Protocol has it."""
    return web.json_response({"error": text}, status=status)
