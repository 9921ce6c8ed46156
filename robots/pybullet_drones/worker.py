"""What a worker process does until its input ends; start_worker.py starts it.

It speaks by the messages of frames.py. What the environment prints goes nowhere.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO, Protocol

import numpy as np

from robots.pybullet_drones import frames


class Served(Protocol):
    """What a worker steps."""

    row_size: int
    """Numbers in a row that it is given."""

    def facts(self) -> dict[str, Any]:
        """What the other side has to know, as JSON."""
        ...

    def step(self, row: np.ndarray) -> np.ndarray:
        """The answer to a row."""
        ...


def opened(arguments: Sequence[str]) -> Served:
    """What the arguments ask for."""
    kind, *rest = arguments
    if kind == "vehicle":
        from robots.pybullet_drones.vehicle import Vehicle  # prints when imported

        return Vehicle(int(rest[0]), int(rest[1]))
    from robots.pybullet_drones.aviary import open_aviary  # prints when imported

    return open_aviary(rest[0], rest[1], int(rest[2]))


def serve(source: BinaryIO, sink: BinaryIO, served: Served) -> None:
    """Answer each message of packed rows by the rows after one step."""
    frames.send(sink, frames.FACTS, json.dumps(served.facts()).encode())
    while True:
        try:
            _, content = frames.receive(source)
        except EOFError:
            return
        rows = np.frombuffer(content).reshape(-1, served.row_size)
        frames.send(sink, frames.ROWS, np.array([served.step(row) for row in rows]).tobytes())


def main() -> None:
    """Serve until the input ends; an error is sent as one line."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        serve(sys.stdin.buffer, sink, opened(sys.argv[1:]))
    except Exception as error:  # whatever it is, the simulator reports it
        line = " ".join(str(error).split())
        frames.send(sink, frames.FAILED, f"{type(error).__name__}: {line}".encode())
        sys.exit(1)
