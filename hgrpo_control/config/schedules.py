"""Schedules of a curriculum, written as in difficulty=0:1@steps:0:2e6; importable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Union

from hgrpo_control.config.named_values import named_values
from hgrpo_errors import HgrpoError
from hgrpo_fields import Range, field_problem

FORMS = "NAME=FROM:TO@steps:BEGIN:END or NAME=FROM:TO@success:RATE:SHARE"


@dataclass(frozen=True)
class StepSchedule:
    """A setting that moves linearly from `start` to `end` between two numbers of executed steps."""

    start: float
    end: float
    begin_step: Annotated[float, Range(least=0)]
    end_step: float

    def problem(self) -> str | None:
        """Error line for numbers that are not allowed; None otherwise."""
        if not self.begin_step < self.end_step:
            return f"BEGIN must be below END; given {self.begin_step:g}:{self.end_step:g}"
        return field_problem(self)


@dataclass(frozen=True)
class SuccessSchedule:
    """A setting that moves from `start` to `end` in steps, by `share` of the way each.

    It moves when the success rate of the episodes since the last move, or the last check, is at least `rate`.
    """

    start: float
    end: float
    rate: Annotated[float, Range(above=0, most=1)]
    share: Annotated[float, Range(above=0, most=1)]

    def problem(self) -> str | None:
        """Error line for numbers that are not allowed; None otherwise."""
        return field_problem(self)


Schedule = Union[StepSchedule, SuccessSchedule]  # noqa: UP007  (isinstance and typing.get_args on Python 3.10)
_KINDS: dict[str, type[Schedule]] = {"steps": StepSchedule, "success": SuccessSchedule}


def read_schedule(name: str, word: str) -> Schedule:
    """The schedule of a setting; raises HgrpoError if it cannot be read."""
    way, at, pace = str(word).partition("@")
    kind, *numbers = pace.split(":")
    parts = [*way.split(":"), *numbers]
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if not at or kind not in _KINDS or len(values) != 4 or not all(map(math.isfinite, values)):
        raise HgrpoError(f"a curriculum is written {FORMS}; given {name}={word}")
    schedule = _KINDS[kind](*values)
    problem = schedule.problem()
    if problem is not None:
        raise HgrpoError(f"curriculum of {name}: {problem}")
    return schedule


def curriculum_problem(curriculum: dict[str, str]) -> str | None:
    """Error line for the first schedule that cannot be read; None if all can."""
    try:
        for name, word in curriculum.items():
            read_schedule(name, word)
    except ValueError as error:
        return str(error)
    return None


CURRICULUM = named_values("curriculum", FORMS, "NAME=FROM:TO@...")
"""Annotation of a curriculum."""
