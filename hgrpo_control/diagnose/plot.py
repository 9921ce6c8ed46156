"""A plot of a diagnosis: bias, noise and remaining error of every estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from hgrpo_control.diagnose.estimators import MIX_AUTO, SLOPE, THIS_RUN
from hgrpo_control.diagnose.gradient_statistics import Estimate
from hgrpo_control.diagnose.measurement import Diagnosis, Row
from hgrpo_control.reports.learning_curves import save


class _Style(NamedTuple):
    color: str  # of Okabe and Ito's palette, for colour-blind readers too
    marker: str
    size: float = 5.0  # different for curves that often coincide
    line: str = "-"
    edge: str | None = None  # of the marker, its own color unless given
    edge_width: float = 1.0


_STYLES = {
    "PPO": _Style("#000000", "o"),
    "GRPO": _Style("#E69F00", "v", 8.0),
    "GRPO unscaled": _Style("#CC79A7", "^", 4.0, "--"),
    "Hybrid paper": _Style("#D55E00", "X", 6.5),
    "Hybrid per_sample": _Style("#56B4E9", "s"),
    "Hybrid group": _Style("#009E73", "D", 8.0),
    "Hybrid group_shrunk": _Style("#0072B2", "o", 4.0, "--"),
    SLOPE: _Style("#882255", "P", 6.5),
    MIX_AUTO: _Style("#882255", "*", 9.0, "--"),
    THIS_RUN: _Style("#F0E442", "*", 13.0, edge="#000000"),
}


_LEGEND_INCHES = 1.9  # of the longest name


class _Panel(NamedTuple):
    label: str
    figure: Callable[[Row], Estimate]
    log: bool
    needs_signal: bool


_PANELS = (
    _Panel("cosine with g*\n(1: no bias of direction)", lambda row: row.measurement.cosine, False, True),
    _Panel("noise/signal\nat equal states", lambda row: row.measurement.noise_to_signal, True, True),
    _Panel("noise/signal\nat equal simulator steps", lambda row: row.equal_steps, True, True),
    _Panel("error left\nafter one update's steps", lambda row: row.measurement.error_left, False, False),
)


def picture(diagnosis: Diagnosis, title: str, path: Path) -> None:
    """Write a PNG with one row of panels per figure.

    The columns are PPO over lambda, and one per branch length over N. Points whose signal cannot be told from 0 are
    left out where the figure divides by it.

    Args:
        diagnosis: The rows.
        title: Above the panels.
        path: Of the PNG.
    """
    every_row = [
        *diagnosis.rows,
        *(() if diagnosis.own is None else (diagnosis.own,)),
    ]  # its star is drawn last, above the others
    ppo = [row for row in every_row if _over_lambda(row)]
    grouped = [row for row in every_row if not _over_lambda(row)]
    lengths = sorted({row.estimator.branch_length for row in grouped})
    columns = [*([None] if ppo else []), *lengths]
    width = 2.0 + 2.9 * len(columns)
    figure = Figure(figsize=(width, 11.0), layout="constrained")
    grid = figure.subplots(len(_PANELS), len(columns), sharey="row", sharex="col", squeeze=False)
    for across, length in enumerate(columns):
        for down, panel in enumerate(_PANELS):
            axes = grid[down][across]
            if panel.log and any(panel.figure(row).value > 0.0 for row in every_row if _shown(row, panel)):
                axes.set_yscale("log", nonpositive="clip")
            if length is None:
                _draw_ppo(axes, ppo, panel)
            else:
                _draw_groups(axes, [row for row in grouped if row.estimator.branch_length == length], panel)
            _dress(axes, panel, first=across == 0)
        grid[0][across].set_title("PPO" if length is None else f"branches of n = {length}")
        grid[-1][across].set_xlabel("lambda" if length is None else "N, samples per state")
    handles = {label: line for axes in grid[0] for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    across = max(1, min(-(-len(handles) // 2), int(width / _LEGEND_INCHES)))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=across, frameon=False)
    figure.suptitle(
        f"{title}\nbars: one standard error; left out of the upper rows: mean gradients that cannot be told from 0",
        fontsize="medium",
    )
    save(figure, path)


def _over_lambda(row: Row) -> bool:
    """Whether a row stands among PPO's: also a run of one sample, which is PPO."""
    return row.estimator.num_samples == 1 and row.estimator.name in ("PPO", THIS_RUN)


def _draw_ppo(axes: Axes, rows: Sequence[Row], panel: _Panel) -> None:
    """Points over lambda at equal distances, which are easier to read than crowding towards 1."""
    values = sorted({row.estimator.gae_lambda or 0.0 for row in rows})
    for name in dict.fromkeys(row.estimator.name for row in rows):
        own = [row for row in rows if row.estimator.name == name]
        _curve(axes, name, [(values.index(row.estimator.gae_lambda or 0.0), row) for row in own], panel)
    axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    axes.set_xlim(-0.5, len(values) - 0.5)


def _draw_groups(axes: Axes, rows: Sequence[Row], panel: _Panel) -> None:
    samples = sorted({row.estimator.num_samples for row in rows})
    axes.set_xscale("log", base=2)
    for name in dict.fromkeys(row.estimator.name for row in rows):
        _curve(axes, name, [(row.estimator.num_samples, row) for row in rows if row.estimator.name == name], panel)
    axes.set_xticks(samples, [str(n) for n in samples])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(samples[0] / 1.3, samples[-1] * 1.3)


def _curve(axes: Axes, name: str, points: Sequence[tuple[float, Row]], panel: _Panel) -> None:
    """One estimator, with bars of one standard error."""
    style = _STYLES[name] if name in _STYLES else _fixed_mix(name)
    shown = [(x, panel.figure(row)) for x, row in points if _shown(row, panel)]
    shown.sort(key=lambda point: point[0])
    axes.errorbar(
        [x for x, _ in shown],
        [estimate.value for _, estimate in shown],
        [estimate.error for _, estimate in shown],
        color=style.color,
        marker=style.marker,
        markersize=style.size,
        markeredgecolor=style.edge or style.color,
        markeredgewidth=style.edge_width,
        linestyle=style.line,
        linewidth=1.3,
        elinewidth=0.8,
        capsize=2,
        label=name,
    )


def _fixed_mix(name: str) -> _Style:
    """Style of a row such as Mix 0.5, whose marker is its share."""
    return _Style("#666666", f"${name.split()[-1]}$", 12.0, ":", edge_width=0.0)


def _shown(row: Row, panel: _Panel) -> bool:
    return row.measurement.signal.above_zero or not panel.needs_signal


def _dress(axes: Axes, panel: _Panel, first: bool) -> None:
    axes.grid(alpha=0.3)
    if first:
        axes.set_ylabel(panel.label)
