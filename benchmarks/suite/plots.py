"""Pictures of a suite: final scores with intervals, probabilities of improvement, learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from benchmarks.suite.definition import MEASURES, Variant
from benchmarks.suite.estimates import ALL_TASKS, by_group
from benchmarks.suite.intervals import Interval, interquartile_mean
from benchmarks.suite.stored import CurvePoint, Results

# Okabe and Ito's palette with a brown for its yellow, which is too pale for lines on white.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#8C564B")
STYLES = ("-", "--", ":", "-.")
AXES = {"simulator steps": "simulator_steps", "executed steps": "executed_steps", "wall-clock [s]": "wall_seconds"}

_ROW_INCHES = 0.24


def final_scores(
    results: Results, estimates: Mapping[tuple[str, str], Interval], measure: str, label: str, path: Path
) -> None:
    """PNG with one row per variant and one panel per task.

    Each has the interquartile mean, its interval, and every seed as a dot.
    """
    groups = by_group(results.suite.variants)
    rows = [variant for members in groups.values() for variant in members]
    columns = [t for t in (*results.suite.tasks, ALL_TASKS) if any((t, v.name) in estimates for v in rows)]
    figure, panels = _rows_figure(len(rows), columns)
    colors = {variant.name: COLORS[i % len(COLORS)] for i, m in enumerate(groups.values()) for variant in m}
    for panel, task in zip(panels, columns, strict=True):
        _stripes(panel, [variant.name for variant in rows])
        for place, variant in enumerate(rows):
            if (task, variant.name) not in estimates:
                continue
            seeds = [getattr(f, measure) for f in results.finals if (f.task, f.variant) == (task, variant.name)]
            panel.plot(seeds, [place] * len(seeds), "o", color="#666666", markersize=2.5, alpha=0.6, zorder=2)
            _interval(panel, estimates[task, variant.name], place, colors[variant.name])
        panel.set_title(task, fontsize="medium")
        panel.set_xlabel(label)
        if measure == "success_rate":
            panel.set_xlim(-0.03, 1.03)
    if len(groups) > 1:
        _legend(figure, list(groups), len(columns))
    save(figure, path)


def improvement(results: Results, estimates: Mapping[tuple[str, tuple[str, str], str], Interval], path: Path) -> None:
    """PNG with one row per compared pair and one panel per task.

    Each has P(X > Y) and its interval for every measure.
    """
    pairs = [pair for pair in results.suite.comparisons if any(key[1] == pair for key in estimates)]
    columns = [t for t in (*results.suite.tasks, ALL_TASKS) if any(key[0] == t for key in estimates)]
    figure, panels = _rows_figure(len(pairs), columns)
    for panel, task in zip(panels, columns, strict=True):
        _stripes(panel, [f"{x} > {y}" for x, y in pairs])
        panel.axvline(0.5, color="#666666", linewidth=1.0, linestyle="--")
        for place, pair in enumerate(pairs):
            for measure, color, offset in zip(results.suite.measures, COLORS, (-0.17, 0.17), strict=False):
                if (task, pair, measure) in estimates:
                    _interval(panel, estimates[task, pair, measure], place + offset, color)
        panel.set_title(task, fontsize="medium")
        panel.set_xlim(-0.03, 1.03)
        panel.set_xlabel("P(X > Y)")
    _legend(figure, [f"by {MEASURES[measure]}" for measure in results.suite.measures], len(columns))
    save(figure, path)


def learning_curves(results: Results, task: str, measure: str, label: str, path: Path) -> None:
    """PNG with a row of panels for the compared variants, and one per group of variants.

    Without the groups if all variants are compared.

    Lines are interquartile means over seeds, bands reach from the lowest seed to the highest. A point is drawn where
    every seed has a figure.
    """
    curves = {v.name: aligned(results.curves[task], v.name, measure) for v in results.suite.variants}
    drawn = [variant for variant in results.suite.variants if len(curves[variant.name]["y"])]
    compared = {name for pair in results.suite.comparisons for name in pair}
    shown = [("compared", [variant for variant in drawn if variant.name in compared])]
    if len(shown[0][1]) < len(drawn):  # otherwise nobody is left for panels of their own
        shown += by_group(drawn).items()
    shown = [(group, members) for group, members in shown if members]
    figure = Figure(figsize=(14.0, 0.6 + 2.6 * max(1, len(shown))), layout="constrained")
    panels = figure.subplots(max(1, len(shown)), len(AXES), sharex="col", sharey=True, squeeze=False)
    for row, (group, members) in zip(panels, shown, strict=False):
        for panel, counter in zip(row, AXES.values(), strict=True):
            _draw_curves(panel, members, curves, counter)
        row[0].set_ylabel(label)
        row[0].set_title(group, loc="left", fontsize="medium", fontweight="bold")
        row[-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small", frameon=False)
    for panel, counter in zip(panels[-1], AXES, strict=True):
        panel.set_xlabel(counter)
    if measure == "success_rate":
        panels[0][0].set_ylim(-0.03, 1.03)  # of every panel: they share it
    save(figure, path)


def aligned(points: Sequence[CurvePoint], variant: str, measure: str) -> dict[str, np.ndarray]:
    """A variant's curve: "y" (points, seeds) where every seed has a figure, and each counter's mean over the seeds."""
    runs: dict[int, list[CurvePoint]] = {}
    for point in points:
        if point.variant == variant:
            runs.setdefault(point.seed, []).append(point)
    stretches = list(zip(*runs.values(), strict=True))  # runs of a variant have equally many iterations
    complete = [s for s in stretches if not any(math.isnan(getattr(point, measure)) for point in s)]
    counters = {name: np.array([np.mean([getattr(p, name) for p in s]) for s in complete]) for name in AXES.values()}
    return counters | {"y": np.array([[getattr(p, measure) for p in s] for s in complete])}


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of 256 colours without opening a window.

    With more colours the bands make it three times as large.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(256, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


def _draw_curves(panel: Axes, members: Sequence[Variant], curves: Mapping[str, Any], counter: str) -> None:
    for index, variant in enumerate(members):
        color, style = COLORS[index % len(COLORS)], STYLES[index // len(COLORS) % len(STYLES)]
        x, y = curves[variant.name][counter], curves[variant.name]["y"]
        marker = "o" if len(x) == 1 else ""
        panel.plot(x, interquartile_mean(y.T), style, color=color, marker=marker, linewidth=1.6, label=variant.name)
        panel.fill_between(x, y.min(axis=1), y.max(axis=1), color=color, alpha=0.15, linewidth=0)
    panel.grid(alpha=0.3)


def _rows_figure(rows: int, columns: Sequence[str]) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(3.0 + 3.0 * len(columns), 1.4 + _ROW_INCHES * rows), layout="constrained")
    return figure, figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]


def _legend(figure: Figure, names: Sequence[str], columns: int) -> None:
    """A legend above the panels: the first colours and their names."""
    handles = [Line2D([], [], color=COLORS[i % len(COLORS)], marker="o", label=name) for i, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(names), 2 + columns), fontsize="small")


def _stripes(panel: Axes, names: Sequence[str]) -> None:
    """Names from top to bottom; every other row is shaded across all panels."""
    panel.set_yticks(range(len(names)), names, fontsize="small")
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    for place in range(0, len(names), 2):
        panel.axhspan(place - 0.5, place + 0.5, color="#f2f2f2", zorder=0)
    panel.grid(axis="x", alpha=0.3)


def _interval(panel: Axes, interval: Interval, place: float, color: str) -> None:
    """A dot with its interval; a hollow dot for a single run, which has none."""
    single = math.isnan(interval.low)
    if not single:
        panel.plot([interval.low, interval.high], [place] * 2, color=color, linewidth=3.5, alpha=0.45, zorder=3)
    face = "white" if single else color
    panel.plot([interval.value], [place], "o", color=color, markerfacecolor=face, markersize=5, zorder=4)
