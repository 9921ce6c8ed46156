"""Plot of trajectories from the same starts in two physics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from hgrpo_control.reports.learning_curves import save
from hgrpo_control.transfer.measurement import Flight, Transfer
from robots.drawing.shapes import Vector

HOME: dict[str, Any] = {"linewidth": 5.0, "alpha": 0.35, "solid_capstyle": "round"}
THERE: dict[str, Any] = {"linewidth": 1.3, "alpha": 1.0, "solid_capstyle": "round"}
"""Line styles: a narrow line over a broad pale one, so that both are visible where they agree."""


def picture(transfer: Transfer, path: Path) -> None:
    """PNG of the recorded episodes.

    It has a view from above, each coordinate over time, and the distance of the two flights.

    A colour is an episode; the broad pale line is flown at home, the narrow one there. A dot is a start, a cross the
    end of an episode that ended for good without success. Discs are what the mission marks: a target, points to reach.
    """
    home, there = transfer.nearest_home, transfer.there
    figure = Figure(figsize=(13.0, 7.0), layout="constrained")
    grid = figure.add_gridspec(4, 2)
    above = figure.add_subplot(grid[:, 0])
    over_time = [figure.add_subplot(grid[row, 1]) for row in range(4)]
    for flight, look in ((home, HOME), (there, THERE)):
        _draw(flight, look, above, over_time[:3])
    _draw_distance(home, there, over_time[3])
    _mark(home, above)
    above.set_aspect("equal", adjustable="datalim")
    above.set_xlabel("x [m]")
    above.set_ylabel("y [m]")
    for axes, name in zip(over_time, ("x", "y", "z", "apart"), strict=True):
        axes.set_ylabel(f"{name} [m]")
        axes.sharex(over_time[-1])
        axes.tick_params(labelbottom=name == "apart")
    over_time[-1].set_xlabel("time [s]")
    for axes in (above, *over_time):
        axes.grid(alpha=0.3)
    above.legend(handles=_legend(home, there), loc="best", fontsize="small")
    evaluation = there.evaluation
    figure.suptitle(f"{evaluation.task}: {len(_episodes(there))} of {evaluation.episodes} episodes", fontsize="medium")
    save(figure, path)


def _draw(flight: Flight, look: dict[str, Any], above: Axes, over_time: list[Axes]) -> None:
    for episode, (way, failed) in enumerate(_episodes(flight)):
        line, time = {"color": f"C{episode}", **look}, _time(flight, way)
        above.plot(way[:, 0], way[:, 1], **line)
        above.plot(*way[0, :2], "o", color=f"C{episode}", markersize=6.0)
        for axes, values in zip(over_time, way.T, strict=True):
            axes.plot(time, values, **line)
            if failed:
                axes.plot(time[-1], values[-1], "x", color=f"C{episode}", markersize=8.0, markeredgewidth=2.0)
        if failed:
            above.plot(*way[-1, :2], "x", color=f"C{episode}", markersize=8.0, markeredgewidth=2.0)


def _draw_distance(home: Flight, there: Flight, axes: Axes) -> None:
    for episode, ((one, _), (other, _)) in enumerate(zip(_episodes(home), _episodes(there), strict=True)):
        both = min(len(one), len(other))
        apart = np.linalg.norm(one[:both] - other[:both], axis=1)
        axes.plot(_time(home, apart), apart, color=f"C{episode}", linewidth=1.3)
    axes.set_ylim(bottom=0.0)


def _time(flight: Flight, values: np.ndarray) -> np.ndarray:
    """(k,) times of k values [s]."""
    return np.arange(len(values)) / flight.simulator.spec.control_hz


def _episodes(flight: Flight) -> list[tuple[np.ndarray, bool]]:
    """For each recorded episode its positions (k, 3) [m], and whether it was terminated without success."""
    simulator, recording = flight.simulator, flight.recording
    position = torch.stack([simulator.position(state) for state in recording.states]).double().numpy()
    episodes = []
    for row in range(recording.alive.shape[1]):
        last = recording.last_step(row)
        success = bool(simulator.success(recording.states[last])[row])
        episodes.append((position[: last + 1, row], bool(recording.terminated[row]) and not success))
    return episodes


def _mark(flight: Flight, axes: Axes) -> None:
    """Draw the balls of the mission from above."""
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
    handles = [
        Line2D([], [], color="0.2", label=f"{flight.place} ({flight.simulator.parameters.name})", **look)
        for flight, look in ((home, HOME), (there, THERE))
    ]
    marks = [("o", "start"), ("x", "ended for good without success")]
    return handles + [Line2D([], [], color="0.2", linestyle="", marker=mark, label=label) for mark, label in marks]
