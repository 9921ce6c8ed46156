"""Evaluations over a grid of disturbances."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from hgrpo_control.evaluation.disturb import DisturbanceError, disturbance_of, read_disturbance
from hgrpo_control.evaluation.evaluate import Evaluation
from robots.interventions import Disturbance

_MOST = 50  # values of an axis


class Grid(NamedTuple):
    """Evaluations at every combination of the values of one or two axes."""

    axes: dict[str, tuple[float, ...]]
    """Values of each axis by the name of its disturbance."""
    cells: tuple[Evaluation, ...]
    """Evaluation of each cell; the last axis changes fastest."""

    @property
    def measure(self) -> str:
        """What is shown: the success rate, or the return for a task without a goal."""
        return "return_mean" if np.isnan(self.cells[0].success_rate) else "success_rate"

    @property
    def table(self) -> np.ndarray:
        """(A, B) shown figure over the first and the second axis; (A, 1) for one axis."""
        values = [cell.figures[self.measure] for cell in self.cells]
        return np.array(values).reshape(len(next(iter(self.axes.values()))), -1)

    def rows(self) -> Iterator[dict[str, float]]:
        """Axes and figures of every cell."""
        for point, cell in zip(itertools.product(*self.axes.values()), self.cells, strict=True):
            yield dict(zip(self.axes, point, strict=True)) | cell.figures


def read_axes(words: Mapping[str, str]) -> dict[str, tuple[float, ...]]:
    """Axes NAME=FIRST:LAST:COUNT.

    Raises:
        DisturbanceError: There are more than two, a name is unknown, or a value is not allowed.
    """
    if len(words) > 2:
        raise DisturbanceError(f"a grid has one or two axes; given {', '.join(words)}")
    return {name: _axis(name, word) for name, word in words.items()}


def _axis(name: str, word: str) -> tuple[float, ...]:
    parts = word.split(":")
    if len(parts) != 3 or not parts[2].isdecimal() or not 2 <= int(parts[2]) <= _MOST:
        raise DisturbanceError(
            f"an axis of a grid is NAME=FIRST:LAST:COUNT with 2 to {_MOST} values, such as wind=0:5:6; given "
            f"{name}={word}"
        )
    first, last = (read_disturbance(name, part) for part in parts[:2])
    return tuple(float(value) for value in np.linspace(first, last, int(parts[2])))


def evaluate_grid(
    axes: Mapping[str, tuple[float, ...]], fixed: Mapping[str, float], fly: Callable[[Disturbance | None], Evaluation]
) -> Grid:
    """Evaluate every cell of a grid.

    Args:
        axes: Values of each axis.
        fixed: Disturbances of all cells.
        fly: Evaluation under a disturbance.

    Raises:
        DisturbanceError: A disturbance is both fixed and an axis.
    """
    twice = [name for name in axes if name in fixed]
    if twice:
        raise DisturbanceError(f"{twice[0]} is given to --disturb and to --grid; allowed: one of them")
    cells = []
    for point in itertools.product(*axes.values()):
        values = {**fixed, **dict(zip(axes, point, strict=True))}
        cells.append(dataclasses.replace(fly(disturbance_of(values)), disturbances=values))
    return Grid(dict(axes), tuple(cells))
