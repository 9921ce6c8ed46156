"""The list of tasks, behind `hgrpo tasks`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

import robots
from robots.registry import summary

_WIDTH_WITH_GOALS = 120


def task_table(width: int) -> Table:
    """Every registered task, one line each; from 120 characters on also the success criterion."""
    columns: tuple[str, ...] = ("task", "robot", "observation", "action", "rate [Hz]", "steps", "success")
    columns = columns if width >= _WIDTH_WITH_GOALS else columns[:-1]
    rows = []
    for name in robots.names():
        robot, observation, action, rate, steps, goal = summary(name)
        rows.append((name, robot, str(observation), str(action), f"{rate:.4g}", str(steps), goal))
    return table(columns, rows, wrapped=("success",))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], wrapped: Sequence[str] = ()) -> Table:
    """A table whose cells are never cut; only the `wrapped` columns are broken into lines."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column not in wrapped, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row[: len(columns)]))
    return table
