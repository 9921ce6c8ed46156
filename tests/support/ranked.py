"""The two ranks of a run, each in a process of its own."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hgrpo_control.ranks import group
from hgrpo_control.ranks.join import joined
from support.forked import Fork, command


def rank_of_two(rank: int, port: int, folder: Path, function: Callable[..., Any], *arguments: Any) -> Fork:
    """A function that runs with the variables that torchrun sets."""
    variables = {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return Fork(folder, function, *arguments, **variables)


def impatient_command(*words: str) -> None:
    """The command line `hgrpo`, which waits less for the last words of a process that is lost."""
    group.PATIENCE = 1.0
    command(*words)


def commands(folder: Path, *words: str) -> list[Fork]:
    """`hgrpo` as both ranks of a run."""
    port = free_port()
    return [rank_of_two(rank, port, folder, impatient_command, *words) for rank in range(2)]


def on_two_ranks(function: str, folder: Path, stall_seconds: float = 60.0) -> list[Any]:
    """What MODULE:FUNCTION(ranks, folder) returns in each of two processes; AssertionError where one fails."""
    port = free_port()
    ranks = [rank_of_two(rank, port, folder, _save, function, folder, stall_seconds) for rank in range(2)]
    said = [rank.wait() for rank in ranks]
    assert [rank.status for rank in ranks] == [0, 0], said
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(2)]


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _save(function: str, folder: Path, stall_seconds: float) -> None:
    module, _, name = function.partition(":")
    with joined("cpu", stall_seconds) as ranks:
        torch.save(getattr(importlib.import_module(module), name)(ranks, folder), folder / f"rank{ranks.rank}.pt")
