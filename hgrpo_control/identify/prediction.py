"""Errors of predictions from measured states, over one step and over half a second."""

from __future__ import annotations

import numpy as np

from hgrpo_control.identify.log import Array, Log
from hgrpo_control.identify.windows import STATE, residuals, windows_of
from robots.quadrotor.body.parameters import QuadrotorParameters

HORIZON = 0.5
"""Duration of the long predictions [s]."""
UNITS = {"velocity": "m/s", "attitude": "rad", "rate": "rad/s", "force": "m/s^2"}


def prediction_errors(log: Log, start: QuadrotorParameters, point: Array) -> dict[str, tuple[float, float]]:
    """Root mean square of the error's norm after one step and after HORIZON, by channel.

    Every prediction begins at a measured state, so the error has the noise of both ends.

    Args:
        log: The log.
        start: Drone with mass, rotor places, torque per thrust and idle speed.
        point: Point of the fit (17,).
    """
    windows = windows_of(log, start, HORIZON, 0.5 * HORIZON)
    found = residuals(windows, point[None], np.zeros((STATE, 1, len(windows.place))), start, [0])
    return {
        name: (
            float(np.sqrt((v[1, :, 0] ** 2).sum(axis=0).mean())),
            float(np.sqrt((v[-1, :, 0] ** 2).sum(axis=0).mean())),
        )
        for name, v in found.items()
    }
