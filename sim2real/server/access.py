"""Who may ask: a token where there is one, and no web page of another site."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
from functools import lru_cache

from aiohttp import web
from aiohttp.typedefs import Handler

from sim2real.server.credentials import Credentials
from sim2real.server.http_reply import refusal
from sim2real.server.metrics import Metrics

OPEN_PATH = "/healthz"  # says nothing but that the server answers
OWNER = "owner"  # of a request: the Token that it has brought, or its connection where none is asked for

# HOST or HOST:PORT as a browser writes it: in lower case, with no user, path or white space
_HOST = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)


class Access:
    """Answers 401 without the token, and 403 to what a browser sends on behalf of another site.

    The token comes as `Authorization: Bearer TOKEN`, as openpi's `Api-Key TOKEN` or as the password of HTTP Basic.
    Without a token the Host must be a loopback name, so that no other site's name can be made to point here.
    """

    def __init__(self, credentials: Credentials, metrics: Metrics) -> None:
        self._credentials = credentials
        self._metrics = metrics

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware."""
        if request.path == OPEN_PATH:
            return await handler(request)
        if self._is_foreign(request):
            self._metrics.turned_away["origin"] += 1
            return _closing(refusal(403, "requests on behalf of another site are refused"))
        token = self._credentials.token
        if token is not None and not _brings(request.headers.get("Authorization", ""), token.value):
            self._metrics.turned_away["token"] += 1
            response = refusal(401, "a token is needed")
            response.headers["WWW-Authenticate"] = 'Basic realm="hgrpo", charset="UTF-8"'
            return _closing(response)
        request[OWNER] = token or request.protocol
        return await handler(request)

    def _is_foreign(self, request: web.Request) -> bool:
        hosts, origins = request.headers.getall("Host", []), request.headers.getall("Origin", [])
        if self._credentials.token is None and not (len(hosts) == 1 and _is_loopback(hosts[0])):
            return True
        if not origins:
            return False
        allowed = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
        return any(origin not in allowed for origin in origins)


def _closing(response: web.Response) -> web.Response:
    """The response, after which the connection ends."""
    response.force_close()
    return response


def _brings(authorization: str, token: bytes) -> bool:
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


@lru_cache(maxsize=64)  # clients ask again and again under the same few names
def _is_loopback(host: str) -> bool:
    """Whether HOST or HOST:PORT is this machine's own, as a browser would write it."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1]
    try:
        if name.startswith("["):
            return ipaddress.IPv6Address(name[1:-1]).is_loopback
        return name == "localhost" or ipaddress.IPv4Address(name).is_loopback
    except ValueError:
        return False
