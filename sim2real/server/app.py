"""The server: routes, start, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST

from hgrpo_errors import HgrpoError, printable
from sim2real.policy.metadata import producer_version
from sim2real.policy.onnx_policy import OnnxPolicyError
from sim2real.protocol.request_error import RequestError
from sim2real.server.access import OPEN_PATH, Access
from sim2real.server.connections import Connections
from sim2real.server.core.inference import Inference
from sim2real.server.core.policies import ServedPolicy, describe, load_policies
from sim2real.server.core.recording import Recorder
from sim2real.server.core.swapping import Swapper
from sim2real.server.credentials import Credentials
from sim2real.server.http_reply import SERVER, refusal
from sim2real.server.log_lines import log_to_standard_error
from sim2real.server.metrics import Metrics
from sim2real.server.open_inference.routes import OpenInferenceEndpoint
from sim2real.server.openpi.websocket import WebSocketEndpoint
from sim2real.server.settings import ServerSettings
from sim2real.server.signals import Signals
from sim2real.server.status_page import status_page

_CLOSE_SECONDS = 3.0  # after the timeout of the shutdown, to close a recording
_SHORTEST_TIMEOUT = 0.05  # [s]; aiohttp takes 0 for no limit
_log = logging.getLogger("hgrpo.server")


def serve(args: tuple[str, ...], settings: ServerSettings) -> None:
    """Serve policies until SIGTERM or SIGINT.

    SIGHUP reads their files, the token and the certificate again.

    Args:
        args: `PATH` or `NAME=PATH` of each policy.
        settings: Settings of the server.

    Raises HgrpoError for a policy that cannot be served, and for an unusable address, file or folder.
    """
    log_to_standard_error()
    with Signals(settings.shutdown_timeout + _CLOSE_SECONDS) as signals:
        asyncio.run(_serve(args, settings, signals))


async def _serve(args: tuple[str, ...], settings: ServerSettings, signals: Signals) -> None:
    stop, again = asyncio.Event(), asyncio.Event()
    signals.listen(stop.set, again.set)
    credentials = Credentials(settings)
    try:
        policies = await load_policies(args, settings, asyncio.ensure_future(stop.wait()))
    except OnnxPolicyError:
        if stop.is_set():
            return
        raise
    metrics = Metrics(tuple(policies))
    recorder = None
    if settings.record is not None:
        header = {"slew": settings.slew, "policies": [describe(served, settings) for served in policies.values()]}
        recorder = Recorder(settings.record, header, int(settings.record_limit_mb * 2**20), metrics)
    try:
        await _Server(policies, settings, metrics, recorder, credentials).run(stop, again)
    finally:
        if recorder is not None:
            recorder.close()
            print(f"recording: {recorder.path}" + (f" ({recorder.failure})" if recorder.failure else ""))


def _listen_error(settings: ServerSettings, error: OSError) -> HgrpoError:
    """The error for an address on which the server cannot listen."""
    number = error.errno or 0
    reason = os.strerror(number) if number > 0 else error.strerror  # errors of name resolution have negative numbers
    hints = {errno.EADDRINUSE: "--port 0 takes a free one", errno.EACCES: "choose a --port from 1024 on"}
    return HgrpoError(
        f"cannot listen on {settings.host}:{settings.port}: {reason or error}; "
        f"{hints.get(number, 'choose a --host of this machine')}"
    )


class _Server:
    """The parts of the server that exist as long as the event loop."""

    def __init__(
        self,
        policies: dict[str, ServedPolicy],
        settings: ServerSettings,
        metrics: Metrics,
        recorder: Recorder | None,
        credentials: Credentials,
    ) -> None:
        self._policies, self._settings, self._metrics = policies, settings, metrics
        self._credentials = credentials
        self._access = Access(credentials, metrics)
        self._inference = Inference(policies, settings, metrics, recorder)
        self._websocket = WebSocketEndpoint(self._inference)
        self._swapper = Swapper(metrics, settings.load_timeout)
        for name, served in policies.items():
            metrics.versions[name] = (served.active.number, served.active.policy.metadata["checkpoint_sha256"])

    async def run(self, stop: asyncio.Event, again: asyncio.Event) -> None:
        """Listen until `stop` is set, then let requests in flight finish.

        Read the files when `again` is set.
        """
        settings, context, loop = self._settings, self._credentials.context, asyncio.get_running_loop()
        app = web.Application(client_max_size=settings.max_message_bytes)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=settings.shutdown_timeout)
        connections = Connections(runner, settings.max_connections, settings.request_timeout, self._metrics)
        app.middlewares.extend([_catch_bugs, self._access.check, connections.admit])
        app.on_response_prepare.append(_name_server)
        app.add_routes(self._routes(connections))
        app.on_shutdown.append(lambda _: self._websocket.close())
        await runner.setup()
        meanwhile = [asyncio.ensure_future(task) for task in (connections.watch(), self._reload(again))]
        try:
            try:
                listening = await loop.create_server(connections.accept, settings.host, settings.port, ssl=context)
            except OSError as error:
                raise _listen_error(settings, error) from error
            gc.collect()
            gc.freeze()  # the garbage collector skips all objects that exist now, so it is fast during requests
            self._announce(listening.sockets[0].getsockname()[1], context is not None)
            await stop.wait()
            listening.close()
            self._swapper.close()
            end = loop.time() + settings.shutdown_timeout
            await asyncio.gather(self._websocket.close(), connections.wait_for_requests(settings.shutdown_timeout))
            if runner.server is not None:
                # the rest of the timeout: aiohttp gives handlers half of it to end and half to be cancelled
                runner.server.pre_shutdown()
                await runner.server.shutdown(max(_SHORTEST_TIMEOUT, 0.5 * (end - loop.time())))
        finally:
            for task in meanwhile:
                task.cancel()
            await asyncio.gather(*meanwhile, return_exceptions=True)
            await runner.cleanup()

    def _routes(self, connections: Connections) -> list[web.RouteDef]:
        return [
            web.get("/", self._root),
            web.get(OPEN_PATH, self._health),
            web.get("/metrics", self._prometheus),
            web.get("/status.json", self._status),
            web.get("/policies/{policy}", self._policy),
            *OpenInferenceEndpoint(self._inference, connections, self._swapper, producer_version()).routes(),
        ]

    async def _root(self, request: web.Request) -> web.StreamResponse:
        """A WebSocket connection, or the status page for other requests."""
        return await self._serve_websocket(request) if _is_upgrade(request) else status_page()

    async def _policy(self, request: web.Request) -> web.StreamResponse:
        """A WebSocket connection to one policy; other requests are refused."""
        if _is_upgrade(request) or request.match_info["policy"] not in self._policies:
            return await self._serve_websocket(request)
        error = {"error": "this address is for WebSocket; the status page is at /"}
        return web.json_response(error, status=426, headers={"Upgrade": "websocket", "Connection": "Upgrade"})

    async def _serve_websocket(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._websocket.serve(request)
        except RequestError as refusal:
            self._metrics.rejected["", "websocket", refusal.reason] += 1
            return web.json_response({"error": str(refusal)}, status=404)

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="OK\n")

    async def _prometheus(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.prometheus(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _status(self, request: web.Request) -> web.Response:
        policies = [describe(served, self._settings) for served in self._policies.values()]
        return web.json_response({"policies": policies, "metrics": self._metrics.summary()})

    async def _reload(self, again: asyncio.Event) -> None:
        """Read every file whenever `again` is set, until cancelled."""
        while True:
            await again.wait()
            again.clear()
            self._credentials.renew()
            for served in self._policies.values():
                self._swapper.reload(served)

    def _announce(self, port: int, encrypted: bool) -> None:
        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        if settings.token_file is not None:
            print(f"every request except {OPEN_PATH} needs the token in {settings.token_file}")
        if not settings.loopback:
            print(
                f"other machines can reach {host}" + ("" if encrypted else "; nothing is encrypted: see --certificate")
            )
        for served in self._policies.values():
            sha256 = served.active.policy.metadata["checkpoint_sha256"]
            print(printable(f"policy {served.name}: version {served.active.number}, checkpoint {sha256[:12]}"))
        print(f"serving at {'https' if encrypted else 'http'}://{host}:{port}/", flush=True)


async def _name_server(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER


@web.middleware
async def _catch_bugs(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log an unexpected exception with its traceback; the client gets status 500 without details."""
    try:
        return await handler(request)
    except web.HTTPException as refused:
        if request.path != "/v2" and not request.path.startswith("/v2/"):
            raise
        response = refusal(refused.status, f"{request.method} {request.path[:80]}: {refused.reason}")
        if "Allow" in refused.headers:
            response.headers["Allow"] = refused.headers["Allow"]
        return response
    except ConnectionError:
        return web.Response(status=400)  # the client has disconnected
    except Exception:
        _log.exception("%s %s failed", printable(request.method), printable(request.path))
        return web.json_response({"error": "internal error"}, status=500)


def _is_upgrade(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"
