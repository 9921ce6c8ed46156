"""Plots: learning curves of one or several runs, and the signals of flown episodes over time."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hgrpo_control.evaluation.evaluate import Recording
from hgrpo_control.runs.run_folder import Metrics
from hgrpo_files import write_bytes

AXES = {"simulator steps": "simulator_steps", "executed steps": "executed_steps", "wall-clock [s]": "wall_seconds"}


def learning_curves(curves: Mapping[str, Sequence[Sequence[Metrics]]], path: Path) -> None:
    """PNG of return and success rate against simulator steps, executed steps and wall-clock; of the return alone where
    the runs' tasks have no goal.

    `curves` holds for each label the metrics of its runs; runs of one label share a colour, their mean is drawn
    strongly.
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
    handles, labels = grid[0][0].get_legend_handles_labels()
    if handles:  # beside the panels: labels name whatever differs between the runs, and may be long
        figure.legend(handles, labels, loc="outside upper left")
    save(figure, path)


def _measures(runs: Sequence[Sequence[Metrics]]) -> dict[str, str]:
    """What is drawn, by its name in metrics.csv: success only where some run has a figure, or none has a return yet."""
    measures = {"episode_return": "episode return", "success_rate": "success rate"}
    measured = {name for name in measures for run in runs for row in run if not math.isnan(getattr(row, name))}
    return {name: label for name, label in measures.items() if name in measured or not measured}


def _draw_curves(axes: Axes, curves: Mapping[str, Sequence[Sequence[Metrics]]], axis: str, measure: str) -> None:
    """One colour per label; with several runs, each thinly and their mean strongly where all of them have values."""
    for index, (label, runs) in enumerate(curves.items()):
        color = f"C{index}"
        lines = [(x, y) for x, y in (_line(run, axis, measure) for run in runs) if len(x)]
        several = len(lines) > 1
        for x, y in lines:
            name = None if several else label
            marker = "o" if len(x) == 1 else ""
            axes.plot(x, y, color=color, alpha=0.35 if several else 1.0, linewidth=1.0, marker=marker, label=name)
        if several:
            grid = np.linspace(max(x[0] for x, _ in lines), min(x[-1] for x, _ in lines), 200)
            mean = np.mean([np.interp(grid, x, y) for x, y in lines], axis=0)
            axes.plot(grid, mean, color=color, linewidth=2.2, label=label)


def _line(run: Sequence[Metrics], axis: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Points of a run where the measure was there to be measured."""
    points = [(getattr(m, axis), getattr(m, measure)) for m in run if not math.isnan(getattr(m, measure))]
    x, y = zip(*points, strict=True) if points else ((), ())
    return np.array(x, dtype=float), np.array(y, dtype=float)


def flown_episodes(recording: Recording, control_hz: float, path: Path) -> None:
    """PNG with one panel per signal: every recorded episode over time, one colour per component."""
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
    """x, y, z for vectors, 1, 2, ... for motors, nothing for a scalar."""
    if size == 1:
        return None
    return "xyz"[component] if size == 3 else str(component + 1)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; raises FileError."""
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    write_bytes(path, content.getbuffer())
