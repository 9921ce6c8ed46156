"""Control at 100 Hz by four clients for a given time.

Counts missed replies and the growth of memory.
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.client.policy_client import PolicyClient

CLIENTS = 4
PERIOD = 0.01  # s
PATIENCE = 1.0  # s, after which a reply counts as missed
SETTLING = 5.0  # s, before memory is looked at
LOOKS = 20  # at the server's memory


def soak(port: int, process: int, observation: NDArray[np.float32], seconds: float) -> dict[str, float]:
    """Figures of a server under load for some seconds; needs /proc.

    They are requests, missed replies, p99.9 and longest latency in milliseconds, requests answered later than a period,
    and the server's resident memory in MiB once settled, at most and at the end.
    """
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(CLIENTS + 1), context.Queue()
    words = (port, observation, seconds, barrier, answers)
    clients = [context.Process(target=one_client, args=words) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    barrier.wait(60.0)
    began = time.monotonic()
    time.sleep(min(SETTLING, 0.1 * seconds))
    memory = []
    for look in range(LOOKS):
        memory.append(resident_mib(process))
        time.sleep(max(0.0, began + seconds * (look + 1) / LOOKS - time.monotonic()))
    results = [answers.get(timeout=60.0 + seconds) for _ in clients]
    for client in clients:
        client.join()
    memory.append(resident_mib(process))
    latency = np.concatenate([result[0] for result in results]) * 1e3
    return {
        "requests": len(latency),
        "missed": sum(result[1] for result in results),
        "later than a period": int(np.sum(latency > 1e3 * PERIOD)),
        "p50 [ms]": float(np.percentile(latency, 50.0)),
        "p99.9 [ms]": float(np.percentile(latency, 99.9)),
        "longest [ms]": float(latency.max()),
        "memory settled [MiB]": memory[0],
        "memory at most [MiB]": max(memory),
        "memory at the end [MiB]": memory[-1],
    }


def one_client(port: int, observation: NDArray[np.float32], seconds: float, barrier: Any, answers: Any) -> None:
    """Ask once a period; hands over the latencies in seconds and how many replies were missed."""
    with PolicyClient(f"ws://127.0.0.1:{port}/", timeout=PATIENCE) as client:
        client.infer(observation)
        barrier.wait(60.0)
        latencies, missed, due = [], 0, time.perf_counter()
        for _ in range(round(seconds / PERIOD)):
            time.sleep(max(0.0, due - time.perf_counter()))
            before = time.perf_counter()
            try:
                client.infer(observation)
            except TimeoutError:
                missed += 1
            latencies.append(time.perf_counter() - before)
            due = max(due + PERIOD, time.perf_counter())  # what is late is not made up for in a burst
    answers.put((np.array(latencies), missed))


def resident_mib(process: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024.0
    raise RuntimeError(f"process {process} has no resident memory")
