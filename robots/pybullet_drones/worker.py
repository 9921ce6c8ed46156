"""Main loop of a worker process, started by start_worker.py.

Messages are those of frames.py. Output that the environment prints is discarded.
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
    """Environment of a worker."""

    row_size: int
    """Number of entries of an input row."""

    def facts(self) -> dict[str, Any]:
        """Values for the simulator, which are sent as JSON."""
        ...

    def step(self, row: np.ndarray) -> np.ndarray:
        """Answer to an input row."""
        ...


def opened(arguments: Sequence[str]) -> Served:
    """Make the environment of the command line's arguments."""
    kind, *rest = arguments
    if kind == "vehicle":
        from robots.pybullet_drones.vehicle import Vehicle  # prints when imported

        return Vehicle(int(rest[0]), int(rest[1]))
    from robots.pybullet_drones.aviary import open_aviary  # prints when imported

    return open_aviary(rest[0], rest[1], int(rest[2]))


def serve(source: BinaryIO, sink: BinaryIO, served: Served) -> None:
    """Answer each message of input rows with the rows after one step.

    It ends with the input.

    Args:
        source: Input.
        sink: Output.
        served: The environment.
    """
    frames.send(sink, frames.FACTS, json.dumps(served.facts()).encode())
    while True:
        try:
            _, content = frames.receive(source)
        except EOFError:
            return
        rows = np.frombuffer(content).reshape(-1, served.row_size)
        frames.send(sink, frames.ROWS, np.array([served.step(row) for row in rows]).tobytes())


def main() -> None:
    """Run the worker; an error is sent as one line."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        serve(sys.stdin.buffer, sink, opened(sys.argv[1:]))
    except Exception as error:  # the simulator reports it
        line = " ".join(str(error).split())
        frames.send(sink, frames.FAILED, f"{type(error).__name__}: {line}".encode())
        sys.exit(1)
