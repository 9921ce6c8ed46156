"""Latency and throughput of the policy server at batch 1, beside a bare onnxruntime call and bare echoes.

    python benchmarks/serving.py [--policy POLICY.onnx] [--clients 1 4 16] [--seconds 5] [--out FOLDER]
    python benchmarks/serving.py --soak 600 [--policy POLICY.onnx]

Every client is a process of its own that asks again as soon as it is answered. Clients turn to everything that is
measured in rounds of half a second, so that each sees the same moods of the machine. An echo is a server that sends a
request's bytes back, in aiohttp, whose frames are read by C, or in `websockets`, asked by the same client code as what
it stands beside: `websocket`, with bytes that are packed already, and `http`, with binary tensors over connections that
stay open. `client` is our own client as a whole, with its packing and unpacking. The server is to stay, at the median,
within the echo plus twice the bare call; where there are two echoes there are two such targets.
Prints a Markdown table, and writes `serving.md` and `serving.json` with --out. Without --policy one with two hidden
layers of 64 units is made. A call after a pause of 0.2 ms is what a call costs a process that has just been woken, as a
server is. --soak measures something else instead: four clients that ask at 100 Hz.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from serving_processes import Process, make_policy
from serving_soak import soak

from sim2real.client import PolicyClient
from sim2real.onnx_policy import OnnxPolicy, open_session
from sim2real.server.wire import pack, unpack
from sim2real.websocket_connection import LARGEST_MESSAGE, WebSocketConnection

COLUMNS = ("what", "clients", "p50 [us]", "p99 [us]", "p99.9 [us]", "requests/s", "target p50 [us]", "met")
PACKAGES = ("aiohttp", "msgpack", "numpy", "onnxruntime", "websockets")
PAUSE = 2e-4  # s
PERCENTILES = (50.0, 99.0, 99.9)
BARE = ("onnxruntime", "onnxruntime after a pause")
BOTH = ("echo in aiohttp", "echo in websockets")
ECHOES_OF = {"websocket": BOTH, "client": BOTH, "http": ("echo over http",)}
ROUND = 0.5  # s
WARM_UP = 20  # requests of each client and round that are not counted
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
    """One result per row of the table: for each count of clients every kind, the bare call for one client."""
    results = []
    with (
        Process("echo") as echo,
        Process("websockets-echo") as websockets_echo,
        Process("serve", str(policy)) as server,
    ):
        ports = {
            "echo in aiohttp": echo.port,
            "echo in websockets": websockets_echo.port,
            "echo over http": echo.port,
        }
        for count in clients:
            bare = ("onnxruntime", "onnxruntime after a pause") if count == 1 else ()
            kinds = {what: ports.get(what, server.port) for what in ASKING if what in bare or what not in BARE}
            durations = fly(kinds, policy, count, seconds)
            results += [{"what": what, "clients": count, **summary(durations[what])} for what in kinds]
    return results


def fly(kinds: dict[str, int], policy: Path, count: int, seconds: float) -> dict[str, list[NDArray[np.float64]]]:
    """Durations in seconds that each of `count` processes saw for each kind, which they all ask at the same time."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(count), context.Queue()
    processes = [
        context.Process(target=one_client, args=(kinds, str(policy), seconds, barrier, answers)) for _ in range(count)
    ]
    for process in processes:
        process.start()
    durations = [answers.get(timeout=TIMEOUT + 4 * len(kinds) * seconds) for _ in processes]
    for process in processes:
        process.join()
    return {what: [seen[what] for seen in durations] for what in kinds}


def one_client(kinds: dict[str, int], policy: str, seconds: float, barrier: Any, answers: Any) -> None:
    """What a client's process does: warm up, and in every round wait for the others and ask each kind in turn."""
    asks = {what: ASKING[what](port, Path(policy)) for what, port in kinds.items()}
    durations: dict[str, list[NDArray[np.float64]]] = {what: [] for what in kinds}
    rounds = max(1, round(seconds / ROUND))
    for _ in range(rounds):
        for what, ask in asks.items():
            barrier.wait(TIMEOUT)
            for _ in range(WARM_UP):
                ask()
            durations[what].append(repeat(ask, seconds / rounds, PAUSE if what == "onnxruntime after a pause" else 0.0))
    answers.put({what: np.concatenate(seen) for what, seen in durations.items()})


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


def ask_onnxruntime(port: int, policy: Path) -> Ask:
    """onnxruntime alone."""
    observation = observation_for(policy)[np.newaxis]
    session = open_session(policy.read_bytes())
    return lambda: session.run(["action"], {"observation": observation})


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
    post = posting(port, "/v2/models/policy/infer", policy)

    def ask() -> object:
        headers, body = post()
        length = int(headers["Inference-Header-Content-Length"])
        return json.loads(body[:length]), np.frombuffer(body[length:], "<f4")

    return ask


def ask_echo_over_http(port: int, policy: Path) -> Ask:
    """The same request's bytes there and back."""
    return posting(port, "/", policy)


def posting(port: int, path: str, policy: Path) -> Callable[[], tuple[Any, bytes]]:
    """Post an observation as a binary tensor over a connection that stays open; returns headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    observation = observation_for(policy)
    tensor: dict[str, Any] = {"name": "observation", "shape": [1, observation.size], "datatype": "FP32"}
    tensor["parameters"] = {"binary_data_size": observation.nbytes}
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(header))}

    def post() -> tuple[Any, bytes]:
        connection.request("POST", path, header + observation.tobytes(), headers)
        response = connection.getresponse()
        return response.headers, response.read()

    return post


ASKING: dict[str, Callable[[int, Path], Ask]] = {
    "onnxruntime": ask_onnxruntime,
    "onnxruntime after a pause": ask_onnxruntime,
    "echo in aiohttp": ask_echo,
    "echo in websockets": ask_echo,
    "websocket": ask_websocket,
    "client": ask_client,
    "echo over http": ask_echo_over_http,
    "http": ask_http,
}


def observation_for(policy: Path) -> NDArray[np.float32]:
    """An observation (O,) of the policy's own golden pairs."""
    pairs = json.loads(OnnxPolicy(policy).metadata["golden_pairs"])
    return np.array(pairs[-1]["observation"], np.float32)


def summary(durations: list[NDArray[np.float64]]) -> dict[str, float]:
    """Percentiles in microseconds over all clients, and requests per second of asking."""
    together = np.concatenate(durations)
    values = np.percentile(together, PERCENTILES) * 1e6
    rate = len(together) * len(durations) / together.sum()
    return {**{f"p{p:g}": float(v) for p, v in zip(PERCENTILES, values, strict=True)}, "rate": float(rate)}


def report(results: list[dict[str, Any]], origin: dict[str, Any]) -> str:
    """The table, and what produced it."""
    call = next((result["p50"] for result in results if result["what"] == "onnxruntime"), float("nan"))
    medians = {(result["what"], result["clients"]): result["p50"] for result in results}
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for result in results:
        judged = ("", "")
        if result["what"] in ECHOES_OF:
            targets = [medians[echo, result["clients"]] + 2.0 * call for echo in ECHOES_OF[result["what"]]]
            met = ["yes" if result["p50"] <= target else "no" for target in targets]
            judged = " / ".join(f"{target:.0f}" for target in targets), " / ".join(met)
        figures = [f"{result[name]:.0f}" for name in ("p50", "p99", "p99.9", "rate")]
        lines.append("| " + " | ".join((result["what"], str(result["clients"]), *figures, *judged)) + " |")
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    return "\n".join((f"`{origin['command']}`: {origin['machine']}, {versions}.", "", *lines, ""))


if __name__ == "__main__":
    main()
