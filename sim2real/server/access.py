"""Access control: the token, and protection against web pages of other sites."""

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

OPEN_PATH = "/healthz"  # contains nothing but OK, so it is open to everybody
OWNER = "owner"  # key of a request's owner: its Token, or its connection if the server has no token

# HOST or HOST:PORT as browsers write it: in lower case, without user, path or white space
_HOST = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)


class Access:
    """Replies 401 without the token, and 403 to requests of a browser for another site.

    The token is `Authorization: Bearer TOKEN`, openpi's `Api-Key TOKEN`, or the password of HTTP Basic. A server
    without a token accepts only a loopback name as Host, so that no name of another site can point to it (DNS
    rebinding).
    """

    def __init__(self, credentials: Credentials, metrics: Metrics) -> None:
        self._credentials = credentials
        self._metrics = metrics

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware: pass an allowed request on, and store its owner."""
        if request.path == OPEN_PATH:
            return await handler(request)
        if self._is_foreign(request):
            self._metrics.turned_away["origin"] += 1
            return _closing(refusal(403, "requests for another site are refused"))
        token = self._credentials.token
        if token is not None and not _has_token(request.headers.get("Authorization", ""), token.value):
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
    """The response; the connection is closed after it."""
    response.force_close()
    return response


def _has_token(authorization: str, token: bytes) -> bool:
    """Whether a header contains the token; compares in constant time."""
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


@lru_cache(maxsize=64)  # clients use the same few names in every request
def _is_loopback(host: str) -> bool:
    """Whether HOST or HOST:PORT is a loopback name of this machine."""
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
