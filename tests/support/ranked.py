"""The two ranks of a run, each in a process of its own.

The processes are forks of one that has imported torch and the simulators, so that they start at once.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any

import pytest
import torch

from hgrpo_control.cli import entry_point
from hgrpo_control.ranks import group
from hgrpo_control.ranks.join import joined

SECONDS = 240
"""A test that waits longer for its processes has failed."""

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        *("hgrpo_control.cli", "hgrpo_control.commands.train", "hgrpo_control.api.progress"),
        *("hgrpo_control.ranks.group", "hgrpo_control.training.trainer", "robots.quadrotor.tasks.catalogue"),
    ]
)


class Rank:
    """A function that runs as a rank of two, with the variables that torchrun sets."""

    def __init__(self, rank: int, port: int, folder: Path, function: Callable[..., Any], *arguments: Any) -> None:
        variables = {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        self._printed = [folder / f"rank{rank}.{name}" for name in ("out", "err")]
        self._process = FORKS.Process(target=_run, args=(variables, self._printed, function, arguments))
        with pytest.MonkeyPatch.context() as patch:  # for the first one, which starts the process that forks
            patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
            patch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")  # as `hgrpo` sets it before it imports torch
            forkserver.ensure_running()
        self._process.start()
        self.pid: int = self._process.pid  # type: ignore[assignment]

    @property
    def status(self) -> int | None:
        return self._process.exitcode

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> tuple[str, str]:
        """What it printed until it ended: output and errors."""
        self._process.join(SECONDS)
        assert self.status is not None, f"{SECONDS} s are over"
        out, err = (file.read_text() for file in self._printed)
        return out, err

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def command(*words: str) -> None:
    """The command line `hgrpo`, which waits less for the last words of a process that is lost."""
    group.PATIENCE = 1.0
    sys.argv = ["hgrpo", *words]
    entry_point()


def commands(folder: Path, *words: str) -> list[Rank]:
    """`hgrpo` as both ranks of a run."""
    port = free_port()
    return [Rank(rank, port, folder, command, *words) for rank in range(2)]


def on_two_ranks(function: str, folder: Path, stall_seconds: float = 60.0) -> list[Any]:
    """What MODULE:FUNCTION(ranks, folder) returns in each of two processes; AssertionError where one fails."""
    port = free_port()
    ranks = [Rank(rank, port, folder, _save, function, folder, stall_seconds) for rank in range(2)]
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


def _run(
    variables: dict[str, str], printed: list[Path], function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.environ.update(variables)
    for number, file in enumerate(printed, start=1):
        with file.open("w") as opened:
            os.dup2(opened.fileno(), number)
    function(*arguments)
