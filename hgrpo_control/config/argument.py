"""How the command line reads a field of a settings dataclass; importable without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from hgrpo_fields import Range


@dataclass(frozen=True)
class Argument:
    """Annotation of a field for `hgrpo_control.command_line.parsing`; a field without one is the option --its-name."""

    metavar: str = ""
    """Name of the value in the help; the type's name if empty."""
    positional: bool = False
    """Whether the value is given without a flag."""
    flag: str = ""
    """Another flag than --its-name."""
    repeated: bool = False
    """Whether a tuple is given one value per flag, as in --import A --import B."""
    hidden: bool = False
    """Whether the command line leaves the field at its default."""
    read: Callable[[list[str]], Any] | None = None
    """Makes the value from any number of arguments; raises HgrpoError."""


IMPORTS = Annotated[tuple[str, ...], Argument(flag="--import", metavar="MODULE", repeated=True)]
"""Modules of a user, each behind an --import of its own."""
RUN_FOLDER = Argument("DIR", positional=True)
"""The run folder that a command is given."""
PROCESSES = Annotated[int | None, Range(least=1)]
"""Number of processes that train one run."""
STALL = Annotated[float | None, Range(above=0, unit="s")]
"""Longest wait for another process."""
