"""The variables that torchrun sets for each process of a run."""

from __future__ import annotations

import os
from typing import NamedTuple

from hgrpo_errors import HgrpoError

_NEEDED = ("RANK", "MASTER_ADDR", "MASTER_PORT")
STALL_SECONDS = 300.0


class LaunchError(HgrpoError):
    """Raised for variables of the environment, or options, that do not make a run of several processes."""


class Launch(NamedTuple):
    """This process among those of its run."""

    rank: int
    size: int
    local_rank: int
    """Among the processes of this machine."""
    local_size: int


def launch() -> Launch:
    """This process as torchrun started it, or alone.

    Raises LaunchError where WORLD_SIZE is above 1 and another variable is missing or no number.
    """
    size = _number("WORLD_SIZE", 1)
    if size == 1:
        return Launch(0, 1, 0, 1)
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        raise LaunchError(
            f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set; start the run with torchrun or --processes"
        )
    rank = _number("RANK", 0)
    if not 0 <= rank < size:
        raise LaunchError(f"RANK is {rank}; allowed: 0 to {size - 1}, because WORLD_SIZE is {size}")
    return Launch(rank, size, _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", size))


def processes_to_start(processes: int | None, stall_seconds: float | None) -> int:
    """Number of processes that a command has to start; 0 where it trains itself.

    Args:
        processes: Of --processes.
        stall_seconds: Of --stall-seconds.

    Raises LaunchError where --processes contradicts torchrun, or --stall-seconds has no effect.
    """
    size = launch().size
    if size > 1 and processes not in (None, size):
        raise LaunchError(f"--processes {processes} contradicts WORLD_SIZE {size}; leave --processes out")
    if size == 1 and processes in (None, 1) and stall_seconds is not None:
        raise LaunchError(f"--stall-seconds {stall_seconds:g} does nothing with one process; leave it out")
    return processes if processes is not None and processes > 1 and size == 1 else 0


def silence_torch() -> None:
    """Keep torch from printing dozens of lines where another process has ended; before torch is imported."""
    if launch().size > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _number(name: str, default: int) -> int:
    word = os.environ.get(name, str(default))
    try:
        return int(word)
    except ValueError:
        raise LaunchError(f"the variable {name} must be a whole number; given {word!r}") from None
