"""The servers that benchmarks/serving.py asks, each in a process of its own.

python benchmarks/serving_processes.py echo
python benchmarks/serving_processes.py websockets-echo
python benchmarks/serving_processes.py serve POLICY.onnx
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
from pathlib import Path


class Process:
    """This file as a server in a process of its own, on a free port."""

    def __init__(self, *words: str) -> None:
        self._process = subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.pid = self._process.pid
        for line in self._process.stdout:
            if match := re.search(r"serving at http://127.0.0.1:(\d+)/", line):
                self.port = int(match[1])
                return
        raise RuntimeError(f"the server did not start: {' '.join(words)}")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60.0)


def serve(path: str) -> None:
    """The policy server."""
    from sim2real.server.app import serve as serve_policies
    from sim2real.server.settings import ServerSettings

    serve_policies((f"policy={path}",), ServerSettings(port=0))


def echo() -> None:
    """A server that sends back what comes, over WebSocket at / and in answer to what is posted there."""
    from aiohttp import WSMsgType, web

    async def over_websocket(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse(compress=False)
        await connection.prepare(request)
        while (message := await connection.receive()).type is WSMsgType.BINARY:
            await connection.send_bytes(message.data)
        return connection

    async def over_http(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application()
    app.add_routes([web.get("/", over_websocket), web.post("/", over_http)])
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"serving at http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
    web.run_app(app, sock=listening, access_log=None, print=lambda _: None)


def websockets_echo() -> None:
    """The echo that `websockets` shows as its first example."""
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as serve_websockets
    from websockets.exceptions import ConnectionClosedError

    async def over_websocket(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosedError):
            async for message in connection:
                await connection.send(message)

    async def run() -> None:
        async with serve_websockets(over_websocket, "127.0.0.1", 0, compression=None) as server:
            print(f"serving at http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/", flush=True)
            await server.serve_forever()

    asyncio.run(run())


def make_policy(path: Path) -> Path:
    """Export a policy of 16 observations, two layers of 64 units and 4 actions."""
    from policies.actor_critic import ActorCritic
    from policies.spec import Entry, PolicySpec
    from sim2real.export_onnx import export_onnx

    observation = tuple(Entry(f"observation_{i}") for i in range(16))
    action = tuple(Entry(f"action_{i}") for i in range(4))
    spec = PolicySpec("serving", "none", 100.0, observation, action, (-1.0,) * 4, (1.0,) * 4, (0.0,) * 4)
    export_onnx(ActorCritic(spec), path)
    return path


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["echo"]:
            echo()
        case ["websockets-echo"]:
            websockets_echo()
        case ["serve", path]:
            serve(path)
