"""Plots: learning curves of runs, and signals of recorded episodes over time."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hgrpo_control.runs.run_folder import Metrics
from hgrpo_files import write_bytes

if TYPE_CHECKING:
    from hgrpo_control.evaluation.evaluate import Recording

AXES = {"simulator steps": "simulator_steps", "executed steps": "executed_steps", "wall-clock time [s]": "wall_seconds"}
RESAMPLES = 2000
"""Bootstrap samples of an interval."""
_POINTS = 200  # of a mean over several runs


def learning_curves(curves: Mapping[str, Sequence[Sequence[Metrics]]], path: Path, title: str = "") -> None:
    """PNG of return and success rate in training over steps and wall-clock time.

    There is one column each for simulator steps, executed steps and wall-clock time.

    Args:
        curves: For each label the metrics of its runs. Several runs are drawn as their mean with a pointwise 95 %
            bootstrap interval, as far as all of them have values. Without a success rate in any run, only the return
            is drawn.
        path: File to write.
        title: Title of the figure.
    """
    measures = _measures([run for runs in curves.values() for run in runs])
    figure = Figure(figsize=(13, 3.25 * len(measures)), layout="constrained")
    grid = figure.subplots(len(measures), len(AXES), sharey="row", squeeze=False)
    for column, (label, axis) in enumerate(AXES.items()):
        for row, (measure, name) in enumerate(measures.items()):
            _draw_curves(grid[row][column], curves, axis, measure)
            grid[row][column].grid(alpha=0.3)
            if column == 0:
                grid[row][column].set_ylabel(f"{name} (training)")
        grid[-1][column].set_xlabel(label)
    if title:
        figure.suptitle(title, fontsize="medium")
    handles, labels = grid[0][0].get_legend_handles_labels()
    if handles:  # outside the panels, because labels name all differing settings and can be long
        several = any(len(runs) > 1 for runs in curves.values())
        heading = "several seeds: mean and 95 % bootstrap interval of the mean" if several else None
        figure.legend(
            handles, labels, loc="outside upper left", title=heading, alignment="left", title_fontsize="small"
        )
    save(figure, path)


def _measures(runs: Sequence[Sequence[Metrics]]) -> dict[str, str]:
    """Labels by names of metrics.csv that some run has measured.

    All labels if no run has measured any.
    """
    measures = {"episode_return": "episode return", "success_rate": "success rate"}
    measured = {name for name in measures for run in runs for row in run if not math.isnan(row.get(name, math.nan))}
    return {name: label for name, label in measures.items() if name in measured or not measured}


def _draw_curves(axes: Axes, curves: Mapping[str, Sequence[Sequence[Metrics]]], axis: str, measure: str) -> None:
    """One colour per label: the line of a single run, or mean and interval of several."""
    for index, (label, runs) in enumerate(curves.items()):
        color = f"C{index}"
        lines = [(x, y) for x, y in (_line(run, axis, measure) for run in runs) if len(x)]
        if len(lines) == 1:
            x, y = lines[0]
            axes.plot(x, y, color=color, linewidth=1.0, marker="o" if len(x) == 1 else "", label=label)
        elif lines:
            x = np.linspace(max(x[0] for x, _ in lines), min(x[-1] for x, _ in lines), _POINTS)
            values = np.stack([np.interp(x, *line) for line in lines])
            low, high = bootstrap_interval(values)
            axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0.0)
            axes.plot(x, values.mean(axis=0), color=color, linewidth=1.8, label=label)


def bootstrap_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (P,) of the 95 % percentile bootstrap interval of the mean over n runs; `values` is (n, P).

    The runs are drawn with replacement (Efron 1979), the same draws for every point and every call.
    """
    chosen = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    counts = np.stack([(chosen == run).sum(axis=1) for run in range(len(values))], axis=1)
    low, high = np.percentile(counts @ values / len(values), (2.5, 97.5), axis=0)
    return low, high


def _line(run: Sequence[Metrics], axis: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the rows of a run that have the measure."""
    points = [(m[axis], m[measure]) for m in run if not math.isnan(m.get(measure, math.nan))]
    x, y = zip(*points, strict=True) if points else ((), ())
    return np.array(x, dtype=float), np.array(y, dtype=float)


def flown_episodes(recording: Recording, control_hz: float, path: Path) -> None:
    """PNG of recorded episodes over time: one panel per signal, one colour per component."""
    figure = Figure(figsize=(10, 2.4 * len(recording.signals)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(recording.signals), 1, sharex=True))
    for panel, (name, values) in zip(panels, recording.signals.items(), strict=True):
        time = np.arange(len(values)) / control_hz
        for component in range(values.shape[2]):
            label = _component_name(values.shape[2], component)
            for episode in range(values.shape[1]):
                panel.plot(
                    time,
                    values[:, episode, component],
                    color=f"C{component}",
                    alpha=0.8,
                    linewidth=0.9,
                    label=label if episode == 0 else None,
                )
        panel.set_ylabel(name)
        panel.grid(alpha=0.3)
        if values.shape[2] > 1:
            panel.legend(loc="upper right", ncols=values.shape[2], fontsize="small")
    panels[-1].set_xlabel("time [s]")
    save(figure, path)


def _component_name(size: int, component: int) -> str | None:
    """x, y or z for vectors, a number for other sizes, None for scalars."""
    if size == 1:
        return None
    return "xyz"[component] if size == 3 else str(component + 1)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; raises FileError."""
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    write_bytes(path, content.getbuffer())
