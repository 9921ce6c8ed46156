"""A worker process: python -m robots.adapters.drones.worker AVIARY ACTION DRONES; it ends when its input does.

It speaks by the messages of frames.py. What the environment prints goes nowhere.
"""

from __future__ import annotations

import json
import os
import sys
from typing import BinaryIO

import numpy as np

from robots.adapters.drones import frames


def serve(source: BinaryIO, sink: BinaryIO, name: str, action: str, drones: int) -> None:
    """Answer each message of packed rows by the rows after one step."""
    from robots.adapters.drones.aviary import Aviary  # prints when imported

    aviary = Aviary(name, action, drones)
    facts = aviary.facts()
    frames.send(sink, frames.FACTS, json.dumps(facts).encode())
    shape, width = np.shape(facts["low"]), aviary.row.width
    while True:
        try:
            _, content = frames.receive(source)
        except EOFError:
            return
        rows = np.frombuffer(content).reshape(-1, width + int(np.prod(shape)))
        new = [aviary.step(row, row[width:].reshape(shape)) for row in rows]
        frames.send(sink, frames.ROWS, np.array(new).tobytes())


def main() -> None:
    """Serve until the input ends; an error is sent as one line."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        serve(sys.stdin.buffer, sink, sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except Exception as error:  # whatever it is, the simulator reports it
        line = " ".join(str(error).split())
        frames.send(sink, frames.FAILED, f"{type(error).__name__}: {line}".encode())
        sys.exit(1)


if __name__ == "__main__":
    main()
