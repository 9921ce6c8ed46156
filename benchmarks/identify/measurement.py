"""One flight and its fit, beside the true numbers."""

from __future__ import annotations

import time
from typing import NamedTuple

from benchmarks.identify.flights import fly_one
from hgrpo_control.identify.fit import fit
from hgrpo_control.identify.log import Array, Mask
from hgrpo_control.identify.model import point_at, point_of
from hgrpo_control.identify.prediction import prediction_errors
from robots.quadrotor.body.parameters import preset

AIRFRAMES = ("cf21B_500", "race", "mrs", "x500", "fs")
"""Presets that the drones are like; each has a lag and can fly the excitation."""


class Found(NamedTuple):
    """One flight."""

    true: Array
    values: Array
    intervals: Array
    """(17, 2)."""
    errors: dict[str, dict[str, tuple[float, float]]]
    """Prediction errors of the start, the fit and the truth, by channel."""
    seconds: float
    """Duration of the fit."""

    @property
    def covered(self) -> Mask:
        """(17,) whether the true value lies in its interval."""
        return (self.intervals[:, 0] <= self.true) & (self.true <= self.intervals[:, 1])


def identify(seed: int, seconds: float) -> Found:
    """Fly and identify one drone."""
    log, start, true = fly_one(preset(AIRFRAMES[seed % len(AIRFRAMES)]), seed, seconds)
    began = time.perf_counter()
    found = fit(log, start)
    took = time.perf_counter() - began
    points = {"start": point_of(start), "fit": found.point, "true": point_at(true)}
    errors = {name: prediction_errors(log, start, point) for name, point in points.items()}
    return Found(true, found.values, found.intervals, errors, took)
