"""Who may ask: a token where there is one, and no web page of another site."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sim2real.server.http_reply import refusal
from sim2real.server.metrics import Metrics

OPEN_PATH = "/healthz"  # says nothing but that the server answers


def access_control(token: bytes | None, metrics: Metrics) -> Middleware:
    """Middleware that answers 401 without the token, and 403 to what a browser sends on behalf of another site.

    The token comes as `Authorization: Bearer TOKEN`, as openpi's `Api-Key TOKEN` or as the password of HTTP Basic.
    Without a token the Host must be a loopback name, so that no other site's name can be made to point here.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == OPEN_PATH:
            return await handler(request)
        origin = request.headers.get("Origin")
        foreign = origin is not None and _authority(origin) != request.host
        if foreign or (token is None and not _is_loopback(request.host)):
            metrics.turned_away["origin"] += 1
            return _closing(refusal(403, "requests on behalf of another site are refused"))
        if token is not None and not _has_token(request.headers.get("Authorization", ""), token):
            metrics.turned_away["token"] += 1
            response = refusal(401, "a token is needed")
            response.headers["WWW-Authenticate"] = 'Basic realm="hgrpo", charset="UTF-8"'
            return _closing(response)
        return await handler(request)

    return check


def _closing(response: web.Response) -> web.Response:
    """The response, after which the connection ends."""
    response.force_close()
    return response


def _has_token(authorization: str, token: bytes) -> bool:
    """Whether a header brings the token; the comparison takes as long whatever is wrong."""
    scheme, _, given = authorization.partition(" ")
    offered = given.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            offered = base64.b64decode(offered, validate=True).partition(b":")[2]
        except binascii.Error:
            offered = b""
    elif scheme.lower() not in ("bearer", "api-key"):
        offered = b""
    return hmac.compare_digest(offered, token)


def _authority(url: str) -> str | None:
    """HOST or HOST:PORT of a URL; None for what is none."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


@lru_cache(maxsize=64)  # clients ask again and again under the same few names
def _is_loopback(host: str) -> bool:
    """Whether HOST or HOST:PORT is this machine's own."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
