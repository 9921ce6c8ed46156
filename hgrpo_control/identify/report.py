"""Estimates and prediction errors as tables."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from hgrpo_control.identify.fit import Fit
from hgrpo_control.identify.model import PARAMETERS, point_of, values_of
from hgrpo_control.identify.prediction import HORIZON, UNITS
from hgrpo_control.reports.tasks import table

_WIDE = {"m/s^2": 0.5, "1/s": 0.15}
"""Half width of an interval beyond which a log hardly shows a parameter, by unit."""
_WIDE_SHARE = 0.3  # the same for positive parameters, as a share of the estimate


def estimates(fit: Fit) -> Table:
    """Estimates with their 95 % intervals beside the start."""
    start, rows = values_of(point_of(fit.start)), []
    for k, parameter in enumerate(PARAMETERS):
        scale, unit = (1e3, "ms") if parameter.unit == "s" else (1.0, parameter.unit)
        value, (low, high) = fit.values[k], fit.intervals[k]
        most = _WIDE_SHARE * value if parameter.logarithmic else _WIDE.get(parameter.unit, np.inf)
        wide = high - low > 2.0 * most
        note = "not in this log" if not fit.free[k] else "uncertain" if wide else ""
        numbers = (start[k], value, low, high) if fit.free[k] else (start[k], np.nan, np.nan, np.nan)
        rows.append((parameter.name, unit, *("" if np.isnan(n) else f"{scale * n:.4g}" for n in numbers), note))
    return table(("parameter", "unit", "start", "estimate", "2.5 %", "97.5 %", ""), rows)


def predictions(before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> Table:
    """Prediction errors of the start and of the fit."""
    rows = [
        (
            name,
            UNITS[name],
            *(f"{number:.4g}" for ahead in (0, 1) for number in (before[name][ahead], after[name][ahead])),
        )
        for name in before
    ]
    columns = ("error of", "unit", "one step, start", "fit", f"{HORIZON:g} s, start", "fit")
    return table(columns, rows)
