"""Clients that send requests to servers in turn, and processes of servers."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim2real.client.websocket_connection import LARGEST_MESSAGE, WebSocketConnection
from sim2real.protocol.msgpack import pack, unpack

HEADER_LENGTH = "Inference-Header-Content-Length"
WARM_UP = 5  # requests of each client and turn that are not counted
TIMEOUT = 300.0  # s

Ask = Callable[[], Any]
Read = Callable[[Any], NDArray[np.float32]]


class Kind(NamedTuple):
    """A server and a protocol."""

    server: str
    protocol: str


Durations = dict[Kind, list[NDArray[np.float64]]]
"""Seconds of each request, one array per round."""


class Process:
    """A server process at a free port, which it prints."""

    def __init__(self, *words: str) -> None:
        self._process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
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
        if self._process.stdout:
            self._process.stdout.close()


def measure(
    ports: dict[str, int],
    clients: int,
    rounds: int,
    seconds: float,
    observation: NDArray[np.float32],
    streams: bool = False,
) -> tuple[Durations, dict[Kind, NDArray[np.float32]]]:
    """Latencies of `clients` processes at the servers at `ports`, and the actions that they received.

    In each round they turn to every kind at the same time, for `seconds` each, in the reverse order every other round.
    With `streams` every client has a stream over HTTP, as policies with memory need.
    """
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(clients), context.Queue()
    words = (ports, rounds, seconds, observation, barrier, answers, streams)
    processes = [context.Process(target=one_client, args=words) for _ in range(clients)]
    for process in processes:
        process.start()
    seen = [answers.get(timeout=TIMEOUT + 8 * rounds * seconds) for _ in processes]
    for process in processes:
        process.join()
    together = {
        kind: [np.concatenate([durations[kind][i] for durations, _ in seen]) for i in range(rounds)]
        for kind in seen[0][0]
    }
    return together, seen[0][1]


def one_client(
    ports: dict[str, int],
    rounds: int,
    seconds: float,
    observation: NDArray[np.float32],
    barrier: Any,
    answers: Any,
    streams: bool,
) -> None:
    """Body of a client process, which sends a request as soon as the last one is answered."""
    asks: dict[Kind, Ask] = {}
    actions: dict[Kind, NDArray[np.float32]] = {}
    for server, port in ports.items():
        for protocol, begin in PROTOCOLS:
            ask, read = begin(port, observation, streams)
            asks[Kind(server, protocol)], actions[Kind(server, protocol)] = ask, read(ask())
    durations: Durations = {kind: [] for kind in asks}
    for i in range(rounds):
        for kind in list(asks)[:: 1 if i % 2 == 0 else -1]:
            barrier.wait(TIMEOUT)
            for _ in range(WARM_UP):
                asks[kind]()
            durations[kind].append(repeat(asks[kind], seconds))
    answers.put((durations, actions))


def repeat(ask: Ask, seconds: float) -> NDArray[np.float64]:
    """Durations of calls in seconds, one after the other, for that long."""
    durations, end = [], time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        ask()
        durations.append(time.perf_counter() - before)
    return np.array(durations)


def over_websocket(port: int, observation: NDArray[np.float32], stream: bool) -> tuple[Ask, Read]:
    """How to ask for an action (A,) by openpi's protocol, and how to read it; a connection is a stream anyway."""
    connection = WebSocketConnection(f"ws://127.0.0.1:{port}/", {}, time.monotonic() + TIMEOUT)
    connection.receive(time.monotonic() + TIMEOUT)  # the metadata
    request = pack({"observation": observation})

    def ask() -> bytes:
        deadline = time.monotonic() + TIMEOUT
        connection.send(request, deadline)
        return connection.receive(deadline)[0]

    return ask, lambda reply: unpack(reply, LARGEST_MESSAGE)["actions"][0]


def over_http(port: int, observation: NDArray[np.float32], stream: bool) -> tuple[Ask, Read]:
    """The same by the Open Inference Protocol, with binary tensors, over a connection that stays open."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    tensor: dict[str, Any] = {"name": "observation", "shape": [1, observation.size], "datatype": "FP32"}
    tensor["parameters"] = {"binary_data_size": observation.nbytes}

    def request(**parameters: bool | str) -> tuple[bytes, dict[str, str]]:
        header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True, **parameters}}).encode()
        return header + observation.tobytes(), {HEADER_LENGTH: str(len(header))}

    def ask(body: bytes, headers: dict[str, str]) -> tuple[str, bytes]:
        connection.request("POST", "/v2/models/policy/infer", body, headers)
        response = connection.getresponse()
        return response.headers[HEADER_LENGTH], response.read()

    if stream:
        ask(*request(sequence_id="flight", sequence_start=True))
    again = request(sequence_id="flight") if stream else request()
    return lambda: ask(*again), lambda reply: np.frombuffer(reply[1][int(reply[0]) :], "<f4")


PROTOCOLS = (("WebSocket", over_websocket), ("HTTP", over_http))


def make_policy(path: Path, memory: str = "none", memory_size: int = 0) -> Path:
    """Export a policy of 16 observations, two layers of 64 units, a memory and 4 actions."""
    from policies.actor_critic import ActorCritic
    from policies.spec import Channel, PolicySpec
    from sim2real.export.onnx import export_onnx

    observation = tuple(Channel(f"observation_{i}") for i in range(16))
    action = tuple(Channel(f"action_{i}") for i in range(4))
    spec = PolicySpec("serving", "none", 100.0, observation, action, (-1.0,) * 4, (1.0,) * 4, (0.0,) * 4)
    export_onnx(ActorCritic(replace(spec, memory=memory, memory_size=memory_size)), path)
    return path
