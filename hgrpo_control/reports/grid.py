"""A grid of disturbances as a table, as CSV and as a heat map."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from hgrpo_control.evaluation.grid import Grid
from hgrpo_control.reports.learning_curves import save
from hgrpo_control.reports.tasks import table
from hgrpo_files import write_text

_NAMES = {"success_rate": "success rate", "return_mean": "return"}
UNITS = {"wind": "m/s²", "wind_y": "m/s²", "wind_z": "m/s²"}
"""Units of the disturbances; others are factors."""


def grid_table(grid: Grid) -> Table:
    """The shown figure, with the first axis down and the second across."""
    first, *second = grid.axes
    across = [f"{second[0]}={value:g}" for value in grid.axes[second[0]]] if second else [_NAMES[grid.measure]]
    rows = [
        (f"{first}={value:g}", *(_cell(figure) for figure in figures))
        for value, figures in zip(grid.axes[first], grid.table, strict=True)
    ]
    return table((_NAMES[grid.measure], *across), rows)


def write_grid(grid: Grid, path: Path) -> None:
    """Write every figure of every cell as CSV."""
    text, rows = io.StringIO(), list(grid.rows())
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def draw_grid(grid: Grid, title: str, path: Path) -> None:
    """PNG of the shown figure: a heat map of two axes, or a line of one.

    Args:
        grid: The grid.
        title: Title of the picture.
        path: The file.
    """
    names, values = list(grid.axes), list(grid.axes.values())
    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    axes = figure.subplots()
    if len(names) == 1:
        axes.plot(values[0], grid.table[:, 0], marker="o")
        axes.set_ylabel(_NAMES[grid.measure])
        axes.grid(alpha=0.3)
    else:
        limits = (0.0, 1.0) if grid.measure == "success_rate" else (None, None)
        picture = axes.imshow(
            grid.table.T, origin="lower", aspect="auto", cmap="viridis", vmin=limits[0], vmax=limits[1]
        )
        middle = 0.5 * sum(picture.get_clim())
        for (column, row), number in np.ndenumerate(grid.table):
            axes.text(column, row, _cell(number), ha="center", va="center", color="k" if number > middle else "w")
        axes.set_xticks(range(len(values[0])), [f"{value:g}" for value in values[0]])
        axes.set_yticks(range(len(values[1])), [f"{value:g}" for value in values[1]])
        axes.set_ylabel(_label(names[1]))
        figure.colorbar(picture, label=_NAMES[grid.measure])
    axes.set_xlabel(_label(names[0]))
    axes.set_title(title)
    save(figure, path)


def _label(name: str) -> str:
    return f"{name} [{UNITS[name]}]" if name in UNITS else f"{name} [factor]"


def _cell(figure: float) -> str:
    return f"{figure:.2f}" if abs(figure) < 10.0 else f"{figure:.0f}"
