"""Trajectories of the same starts in two physics over each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from hgrpo_control.transfer import Flight, Transfer
from robots.shapes import Vector

HOME: Any = "-"
THERE: Any = (0, (3.0, 1.5))
"""Line styles."""


def picture(transfer: Transfer, path: Path) -> None:
    """PNG of the recorded episodes: from above on the left, each coordinate over time on the right.

    A colour is an episode, a full line is flown at home, a broken one there. A dot is a start, a cross the end of an
    episode that ended for good without success. Discs are what the mission marks: a target, points to reach.
    """
    home, there = transfer.nearest_home, transfer.there
    figure = Figure(figsize=(13.0, 6.5), layout="constrained")
    grid = figure.add_gridspec(3, 2)
    above = figure.add_subplot(grid[:, 0])
    over_time = [figure.add_subplot(grid[row, 1]) for row in range(3)]
    for flight, style in ((home, HOME), (there, THERE)):
        _draw(flight, style, above, over_time)
    _mark(home, above)
    above.set_aspect("equal", adjustable="datalim")
    above.set_xlabel("x [m]")
    above.set_ylabel("y [m]")
    for axes, name in zip(over_time, "xyz", strict=True):
        axes.set_ylabel(f"{name} [m]")
        axes.sharex(over_time[-1])
        axes.tick_params(labelbottom=name == "z")
    over_time[-1].set_xlabel("time [s]")
    for axes in (above, *over_time):
        axes.grid(alpha=0.3)
    above.legend(handles=_legend(home, there), loc="best", fontsize="small")
    evaluation = there.evaluation
    figure.suptitle(f"{evaluation.task}: {len(_episodes(there))} of {evaluation.episodes} episodes", fontsize="medium")
    FigureCanvasAgg(figure).print_png(str(path))


def _draw(flight: Flight, style: Any, above: Axes, over_time: list[Axes]) -> None:
    for episode, (way, failed) in enumerate(_episodes(flight)):
        look: dict[str, Any] = {"color": f"C{episode}", "linestyle": style, "linewidth": 1.5 if style == HOME else 1.8}
        time = np.arange(len(way)) / flight.simulator.spec.control_hz
        above.plot(way[:, 0], way[:, 1], **look)
        above.plot(*way[0, :2], "o", color=f"C{episode}", markersize=5.0)
        for axes, values in zip(over_time, way.T, strict=True):
            axes.plot(time, values, **look)
            if failed:
                axes.plot(time[-1], values[-1], "x", color=f"C{episode}", markersize=8.0, markeredgewidth=2.0)
        if failed:
            above.plot(*way[-1, :2], "x", color=f"C{episode}", markersize=8.0, markeredgewidth=2.0)


def _episodes(flight: Flight) -> list[tuple[np.ndarray, bool]]:
    """(k, 3) positions [m] of each recorded episode while it ran, and whether it ended for good without success."""
    simulator, recording = flight.simulator, flight.recording
    position = torch.stack([simulator.position(state) for state in recording.states]).double().numpy()
    episodes = []
    for row in range(recording.alive.shape[1]):
        last = int(recording.alive[:, row].sum())  # the step that ended it is shown
        last = min(last, len(position) - 1)
        cut = last < simulator.spec.max_episode_steps
        success = bool(simulator.success(recording.states[last])[row])
        episodes.append((position[: last + 1, row], cut and not success))
    return episodes


def _mark(flight: Flight, axes: Axes) -> None:
    """Balls of the mission, seen from above."""
    mission, start = flight.simulator.mission, flight.recording.states[0]
    for row in range(flight.recording.alive.shape[1]):
        drawing = mission.drawing(start, row)
        if drawing.target is not None and row == 0:
            axes.add_patch(Circle(_level(drawing.target), mission.target_radius, color="0.5", alpha=0.4, linewidth=0.0))
        for shape in drawing.shapes:
            if shape.kind == "sphere":
                axes.add_patch(Circle(_level(shape.position), shape.size[0], color=f"C{row}", alpha=0.2, linewidth=0.0))


def _level(point: Vector) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _legend(home: Flight, there: Flight) -> list[Line2D]:
    lines = [(flight, style) for flight, style in ((home, HOME), (there, THERE))]
    handles = [
        Line2D([], [], color="0.2", linestyle=style, label=f"{flight.place} ({flight.simulator.options.quadrotor})")
        for flight, style in lines
    ]
    marks = [("o", "start"), ("x", "ended for good without success")]
    return handles + [Line2D([], [], color="0.2", linestyle="", marker=mark, label=label) for mark, label in marks]
