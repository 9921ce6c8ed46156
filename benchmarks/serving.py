"""Latency and throughput of the policy server at batch 1, beside a bare onnxruntime call and a bare WebSocket echo.

    python benchmarks/serving.py [--policy POLICY.onnx] [--clients 1 4 16] [--seconds 5] [--out FOLDER]
    python benchmarks/serving.py --soak 600 [--policy POLICY.onnx]

Every client is a process of its own that asks again as soon as it is answered. The echo is a WebSocket server in the
same library that sends a request's bytes back, asked by the same client code as `websocket`, with bytes that are packed
already: they differ in what the server does. `client` is our own client as a whole, with its packing and unpacking;
`http` is asked with binary tensors over connections that stay open. The server is to stay, at the median, within the
echo plus twice the bare call.
Prints a Markdown table, and writes `serving.md` and `serving.json` with --out. Without --policy one with two hidden
layers of 64 units is made. A call after a pause of 0.2 ms is what a call costs a process that has just been woken, as a
server is; the target is judged by the call without one. --soak measures something else instead: four clients that ask
at 100 Hz.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from serving_soak import soak

from sim2real.client import PolicyClient
from sim2real.onnx_policy import OnnxPolicy, open_session
from sim2real.server.wire import pack, unpack
from sim2real.websocket_connection import LARGEST_MESSAGE, WebSocketConnection

COLUMNS = ("what", "clients", "p50 [us]", "p99 [us]", "p99.9 [us]", "requests/s", "target p50 [us]", "met")
PACKAGES = ("aiohttp", "msgpack", "numpy", "onnxruntime", "websockets")
PAUSE = 2e-4  # s
PERCENTILES = (50.0, 99.0, 99.9)
SERVED = ("websocket", "client", "http")
WARM_UP = 200  # requests of each client that are not counted
TIMEOUT = 300.0  # s
Ask = Callable[[], object]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", type=Path, help="exported policy")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=5.0, help="per figure")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--soak", type=float, help="instead: seconds of control at 100 Hz by four clients")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        policy = given.policy or make_policy(Path(folder) / "policy.onnx")
        if given.soak:
            with Process("serve", str(policy)) as server:
                for name, value in soak(server.port, server.pid, observation_for(policy), given.soak).items():
                    print(f"{name:>24}  {value:.6g}")
            return
        results = measure_all(policy, given.clients, given.seconds)
    origin = {
        "command": " ".join(["python", "benchmarks/serving.py", *sys.argv[1:]]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }
    text = report(results, origin)
    print(text)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "serving.md").write_text(text)
        (given.out / "serving.json").write_text(json.dumps({**origin, "results": results}, indent=1) + "\n")


def measure_all(policy: Path, clients: list[int], seconds: float) -> list[dict[str, Any]]:
    """One result per row of the table; the bare call first, then every kind of server in turn for each count."""
    results = [
        bare_call("onnxruntime", policy, seconds, 0.0),
        bare_call("onnxruntime after a pause", policy, seconds, PAUSE),
    ]
    with Process("echo") as echo, Process("serve", str(policy)) as server:
        for count in clients:
            for what, port in (("echo", echo.port), *((name, server.port) for name in SERVED)):
                results.append({"what": what, "clients": count, **fly(what, port, policy, count, seconds)})
    return results


def bare_call(what: str, policy: Path, seconds: float, pause: float) -> dict[str, Any]:
    """onnxruntime alone, called in a loop by one thread after a pause in seconds, which is not counted."""
    observation = observation_for(policy)[np.newaxis]
    session = open_session(policy.read_bytes())
    durations = repeat(lambda: session.run(["action"], {"observation": observation}), seconds, pause)
    return {"what": what, "clients": 1, **summary([durations], durations.sum())}


def fly(what: str, port: int, policy: Path, count: int, seconds: float) -> dict[str, float]:
    """`count` processes that ask at the same time."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(count), context.Queue()
    words = (what, port, str(policy), seconds, barrier, answers)
    processes = [context.Process(target=one_client, args=words) for _ in range(count)]
    for process in processes:
        process.start()
    durations = [answers.get(timeout=TIMEOUT + 4 * seconds) for _ in processes]
    for process in processes:
        process.join()
    return summary(durations, seconds)


def one_client(what: str, port: int, policy: str, seconds: float, barrier: Any, answers: Any) -> None:
    """What a client's process does: warm up, wait for the others, ask, hand over the durations in seconds."""
    ask = ASKING[what](port, Path(policy))
    for _ in range(WARM_UP):
        ask()
    barrier.wait(TIMEOUT)
    answers.put(repeat(ask, seconds))


def repeat(ask: Ask, seconds: float, pause: float = 0.0) -> NDArray[np.float64]:
    """Durations of calls in seconds, one after the other, for that long."""
    durations, end = [], time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        if pause:
            time.sleep(pause)
            before = time.perf_counter()
        ask()
        durations.append(time.perf_counter() - before)
    return np.array(durations)


def ask_echo(port: int, policy: Path) -> Ask:
    """A request's bytes there and back."""
    connection = WebSocketConnection(f"ws://127.0.0.1:{port}/", {}, time.monotonic() + TIMEOUT)
    request = pack({"observation": observation_for(policy), "sequence": 1})

    def ask() -> object:
        deadline = time.monotonic() + TIMEOUT
        connection.send(request, deadline)
        return connection.receive(deadline)

    return ask


def ask_websocket(port: int, policy: Path) -> Ask:
    """An action for a request that is packed already; the replies are checked before they are timed."""
    connection = WebSocketConnection(f"ws://127.0.0.1:{port}/", {}, time.monotonic() + TIMEOUT)
    connection.receive(time.monotonic() + TIMEOUT)  # the metadata
    observation = observation_for(policy)
    request = pack({"observation": observation})

    def ask() -> tuple[bytes, bool]:
        deadline = time.monotonic() + TIMEOUT
        connection.send(request, deadline)
        return connection.receive(deadline)

    reply = unpack(ask()[0], LARGEST_MESSAGE)
    np.testing.assert_array_equal(reply["actions"][0], OnnxPolicy(policy)(observation))
    return ask


def ask_client(port: int, policy: Path) -> Ask:
    """An action through our own client, which packs, numbers, unpacks and checks."""
    client = PolicyClient(f"ws://127.0.0.1:{port}/", timeout=TIMEOUT)
    observation = observation_for(policy)
    return lambda: client.infer(observation)


def ask_http(port: int, policy: Path) -> Ask:
    """An action through the Open Inference Protocol, as binary tensors."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    observation = observation_for(policy)
    tensor: dict[str, Any] = {"name": "observation", "shape": [1, observation.size], "datatype": "FP32"}
    tensor["parameters"] = {"binary_data_size": observation.nbytes}
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(header))}

    def ask() -> object:
        connection.request("POST", "/v2/models/policy/infer", header + observation.tobytes(), headers)
        response = connection.getresponse()
        body = response.read()
        length = int(response.headers["Inference-Header-Content-Length"])
        return json.loads(body[:length]), np.frombuffer(body[length:], "<f4")

    return ask


ASKING = {"echo": ask_echo, "websocket": ask_websocket, "client": ask_client, "http": ask_http}


def observation_for(policy: Path) -> NDArray[np.float32]:
    """An observation (O,) of the policy's own golden pairs."""
    pairs = json.loads(OnnxPolicy(policy).metadata["golden_pairs"])
    return np.array(pairs[-1]["observation"], np.float32)


def summary(durations: list[NDArray[np.float64]], seconds: float) -> dict[str, float]:
    """Percentiles in microseconds over all clients, and requests per second."""
    together = np.concatenate(durations)
    values = np.percentile(together, PERCENTILES) * 1e6
    return {**{f"p{p:g}": float(v) for p, v in zip(PERCENTILES, values, strict=True)}, "rate": len(together) / seconds}


def report(results: list[dict[str, Any]], origin: dict[str, Any]) -> str:
    """The table, and what produced it."""
    call = results[0]["p50"]
    echoes = {result["clients"]: result["p50"] for result in results if result["what"] == "echo"}
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for result in results:
        served = result["what"] in SERVED
        target = echoes[result["clients"]] + 2.0 * call if served else float("nan")
        judged = (f"{target:.0f}", "yes" if result["p50"] <= target else "no") if served else ("", "")
        figures = [f"{result[name]:.0f}" for name in ("p50", "p99", "p99.9", "rate")]
        lines.append("| " + " | ".join((result["what"], str(result["clients"]), *figures, *judged)) + " |")
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    return "\n".join((f"`{origin['command']}`: {origin['machine']}, {versions}.", "", *lines, ""))


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
        self._process.wait(TIMEOUT)


def serve(path: str) -> None:
    """The policy server."""
    from sim2real.server.app import serve as serve_policies
    from sim2real.server.settings import ServerSettings

    serve_policies((f"policy={path}",), ServerSettings(port=0))


def echo() -> None:
    """A WebSocket server that sends back what comes."""
    from aiohttp import WSMsgType, web

    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        while (message := await socket.receive()).type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/", answer)
    import socket as sockets

    listening = sockets.create_server(("127.0.0.1", 0))
    print(f"serving at http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
    web.run_app(app, sock=listening, access_log=None, print=lambda _: None)


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
        case ["serve", path]:
            serve(path)
        case _:
            main()
