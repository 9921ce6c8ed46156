"""Plot of measured motion and of predictions from measured states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hgrpo_control.identify.fit import Fit
from hgrpo_control.identify.log import Array, Log
from hgrpo_control.identify.model import point_of
from hgrpo_control.identify.prediction import HORIZON, UNITS
from hgrpo_control.identify.windows import STATE, residuals, windows_of
from hgrpo_control.reports.learning_curves import save

_SHOWN = 10.0
"""Longest stretch that is drawn [s]."""


def plot(log: Log, fit: Fit, path: Path) -> None:
    """PNG of the first seconds: measured rates, velocities or forces, and predictions over HORIZON by start and fit."""
    windows = windows_of(log, fit.start, HORIZON, HORIZON)
    within = [w for w, (number, first) in enumerate(windows.place) if number == 0 and first * log.step < _SHOWN]
    none = np.zeros((STATE, 1, len(windows.place)))
    lines = {
        name: residuals(windows, point[None], none, fit.start, [0])
        for name, point in (("start", point_of(fit.start)), ("fit", fit.point))
    }
    shown = [name for name in ("rate", "velocity", "force") if name in windows.measured]
    figure = Figure(figsize=(12.0, 2.2 * 3.0 * len(shown) / 2.0 + 1.0), layout="constrained")
    axes = figure.subplots(3, len(shown), sharex=True, squeeze=False)
    for column, name in enumerate(shown):
        for axis in range(3):
            place, measured = axes[axis][column], windows.measured[name][:, axis]
            for number, w in enumerate(within):
                time = (windows.place[w][1] + np.arange(windows.steps + 1)) * log.step
                label = number == 0
                place.plot(time, measured[:, w], color="0.6", linewidth=3.0, label="measured" if label else None)
                for source, colour, style in (("start", "C1", ":"), ("fit", "C0", "-")):
                    predicted: Array = measured[:, w] - lines[source][name][:, axis, 0, w]
                    shown_as = f"predicted, {source}" if label else None
                    place.plot(time, predicted, color=colour, linestyle=style, linewidth=1.2, label=shown_as)
            spread = float(np.nanmax(np.abs(measured[:, within]))) if within else 1.0
            place.set_ylim(-1.5 * spread - 1e-3, 1.5 * spread + 1e-3)
            place.set_ylabel(f"{name} {'xyz'[axis]} [{UNITS[name]}]")
            place.grid(alpha=0.3)
        axes[2][column].set_xlabel("time [s]")
    axes[0][0].legend(loc="upper right")
    figure.suptitle(f"{Path(log.path.split(', ')[0]).name}: predictions over {HORIZON:g} s from measured states")
    save(figure, path)
