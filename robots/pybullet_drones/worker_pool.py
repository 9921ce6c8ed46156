"""Pool of worker processes that step the rows of a batch."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hgrpo_errors import HgrpoError, install
from robots.pybullet_drones import frames

_NEEDED = {"gym_pybullet_drones": "gym-pybullet-drones", "pybullet": "pybullet", "pkg_resources": "setuptools<82"}


class MissingDronesError(HgrpoError):
    """gym-pybullet-drones or one of its requirements is not installed."""


class WorkerError(HgrpoError):
    """A worker process failed."""


def require_drones() -> None:
    """Raise MissingDronesError if a package that gpd tasks need is missing."""
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingDronesError(
            f"gym-pybullet-drones cannot be used, because {', '.join(missing)} is missing here: {install('drones')}"
        )


class WorkerPool:
    """Worker processes, which end with this object or process.

    Args:
        workers: Number of processes.
        arguments: Arguments of start_worker.py.
    """

    def __init__(self, workers: int, *arguments: str) -> None:
        require_drones()
        command = (sys.executable, str(Path(__file__).with_name("start_worker.py")), *arguments)
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        self.processes = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal must reach this process only, which may have to save
            )
            for _ in range(workers)
        ]
        self._close = weakref.finalize(self, _stop, self.processes)
        answers = [self._receive(worker, frames.FACTS) for worker in range(workers)]
        self.facts: dict[str, Any] = json.loads(answers[0])

    def step(self, rows: np.ndarray, width: int) -> np.ndarray:
        """Step packed rows (B, k); returns answers (B, width). Raises WorkerError."""
        parts = [part for part in np.array_split(rows, len(self.processes)) if len(part)]
        for worker, part in enumerate(parts):
            self._send(worker, np.ascontiguousarray(part).tobytes())
        answers = [np.frombuffer(self._receive(i, frames.ROWS)).reshape(-1, width) for i in range(len(parts))]
        return np.concatenate(answers)

    def close(self) -> None:
        """Stop the processes."""
        self._close()

    def _send(self, worker: int, content: bytes) -> None:
        stream = self.processes[worker].stdin
        assert stream is not None  # because stdin=PIPE
        try:
            frames.send(stream, frames.ROWS, content)  # type: ignore[arg-type]
        except (BrokenPipeError, ValueError):  # ValueError: closed after an earlier failure
            self._fail(worker, "")

    def _receive(self, worker: int, expected: bytes) -> bytes:
        stream = self.processes[worker].stdout
        assert stream is not None
        try:
            kind, content = frames.receive(stream)  # type: ignore[arg-type]
        except (EOFError, ValueError):
            self._fail(worker, "")
        if kind != expected:
            self._fail(worker, content.decode(errors="replace"))
        return content

    def _fail(self, worker: int, reason: str) -> NoReturn:
        self.close()
        code = self.processes[worker].returncode
        raise WorkerError(
            f"gym-pybullet-drones worker {worker} failed: {reason or f'it ended with exit status {code}'}"
        )


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):  # the process has ended
                if stream is not None:
                    stream.close()
    for process in processes:
        try:
            process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
