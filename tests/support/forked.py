"""Processes that start at once: forks of one that has imported torch and the simulators."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any

import pytest

from hgrpo_control.cli import entry_point

SECONDS = 240
"""A test that waits longer for a process has failed."""

_SERVER = forkserver.ForkServer()  # its own, because the one of multiprocessing has imported what others asked for
_SERVER.set_forkserver_preload(
    [
        *("hgrpo_control.cli", "hgrpo_control.commands.train", "hgrpo_control.api.progress"),
        *("hgrpo_control.ranks.group", "hgrpo_control.training.trainer", "robots.quadrotor.tasks.catalogue"),
    ]
)


class Fork:
    """A function that runs in a process of its own, in the working directory of this one.

    Args:
        folder: For the files of what it prints.
        function: Of a module.
        arguments: Its arguments.
        variables: Added to its environment.
    """

    def __init__(self, folder: Path, function: Callable[..., Any], *arguments: Any, **variables: str) -> None:
        self._printed = [Path(tempfile.mkstemp(f".{name}", dir=folder)[1]) for name in ("out", "err")]
        self._process = get_context("forkserver").Process(
            target=_run, args=(variables, self._printed, function, arguments)
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(forkserver, "connect_to_new_process", _SERVER.connect_to_new_process)
            patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
            patch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")  # as `hgrpo` sets it for a rank before it imports torch
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
    """The command line `hgrpo`."""
    sys.argv = ["hgrpo", *words]
    entry_point()


def _run(
    variables: dict[str, str], printed: list[Path], function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.environ.update(variables)
    for number, file in enumerate(printed, start=1):
        with file.open("w") as opened:
            os.dup2(opened.fileno(), number)
    function(*arguments)
