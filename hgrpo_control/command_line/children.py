"""Child processes that train and stop with their parent."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start(
    command: Sequence[str],
    log: IO[bytes] | None,
    paths: Sequence[str] = (),
    variables: Mapping[str, str] = _ONE_THREAD,
) -> subprocess.Popen[bytes]:
    """Start a child, which has to stop when its standard input ends (`hgrpo_control.child`).

    Args:
        command: Its words.
        log: Open file for its output. The child inherits the file, and with it a lock on the file. None shares the
            output of this process.
        paths: Folders to add to Python's path, after that of this package.
        variables: Added to the environment.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=None if log is None else subprocess.STDOUT,
        env=_environment(paths, variables),
        start_new_session=True,  # Ctrl-C in the terminal reaches only the parent, which then stops its children
    )


def stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Let every child save and end, and wait for it; an interrupt meanwhile kills them."""
    try:
        for child in children:
            assert child.stdin is not None
            child.stdin.close()
        for child in children:
            child.wait()
    except KeyboardInterrupt:
        for child in children:
            child.kill()
            child.wait()
        raise


def failure(status: int, log: Path) -> str:
    """How a child failed, with the last line of its log."""
    how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
    return f"failed ({how}): {last}; all of it: {log}"


def _environment(paths: Sequence[str], variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, and the same packages that this process imported."""
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join((package, *paths, *filter(None, [os.environ.get("PYTHONPATH")])))
    return {**os.environ, **variables, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
