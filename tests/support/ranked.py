"""Functions that a test runs in two processes of one run, and commands that it starts so."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from hgrpo_control.ranks.join import joined
from hgrpo_control.ranks.ranks import Ranks

SECONDS = 240
"""A test that waits longer for its processes has failed."""


def on_two_ranks(function: str, folder: Path, stall_seconds: float = 60.0) -> list[Any]:
    """What MODULE:FUNCTION(ranks, folder) returns in each of two processes; AssertionError where one fails."""
    port = free_port()
    words = [sys.executable, "-m", "support.ranked", function, str(folder), str(stall_seconds)]
    children = [start(words, rank, port) for rank in range(2)]
    said = [child.communicate(timeout=SECONDS)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(2)]


def start(words: Sequence[str], rank: int, port: int, **more: Any) -> subprocess.Popen[str]:
    """A process with the variables that torchrun sets."""
    variables = {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} | more
    return subprocess.Popen(words, env=environment, **how)


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main(function: str, folder: str, stall_seconds: str) -> None:
    """One of the processes of `on_two_ranks`."""
    module, _, name = function.partition(":")
    with joined("cpu", float(stall_seconds)) as ranks:
        result = getattr(importlib.import_module(module), name)(ranks, Path(folder))
        torch.save(result, Path(folder) / f"rank{ranks.rank}.pt")


__all__ = ["Ranks", "free_port", "on_two_ranks", "start"]

if __name__ == "__main__":
    main(*sys.argv[1:])
