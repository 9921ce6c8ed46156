"""Task options that cover what a fit leaves uncertain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hgrpo_control.identify.fit import Fit, quantile
from hgrpo_control.identify.log import Array, Log
from hgrpo_control.identify.model import BALANCE, DRAG, LAG, LATENCY, TURN, WIND

TASK_HZ = 100.0
"""Control rate of the quadrotor tasks, in whose steps a latency is given."""
_WIDEST = 0.9
_DIGITS = 1000.0  # widths are rounded up to thousandths


def thrust_at(fit: Fit, command: float) -> tuple[float, float]:
    """Thrust of four rotors over mass at a speed [m/s^2], and the half width of its 95 % interval."""
    slope = np.array([1.0, command, command * command])
    reach = quantile(fit.windows - len(fit.point)) * math.sqrt(slope @ fit.covariance[:3, :3] @ slope)
    return 4.0 * float(slope @ fit.values[:3]), 4.0 * reach


def randomization(fit: Fit, log: Log) -> dict[str, str]:
    """Task options that draw what remains uncertain around the fitted drone.

    Wind and the imbalance of the rotors are no part of a vehicle file, so their ranges cover the estimates too.

    Args:
        fit: The fit.
        log: Its log, for the mean command.
    """
    idle = fit.start.rotor_speed_min
    command = idle + (1.0 - idle) * float(np.mean([segment.command.mean() for segment in log.segments]))
    value, reach = thrust_at(fit, command)
    balance = np.abs(fit.values[BALANCE:]) + _reach(fit)[BALANCE:]
    shares = {
        "mass": reach / value,
        "rotor_thrust": float(balance.sum()),
        "inertia": _largest(fit, (TURN, TURN + 1)),
        "yaw_torque": _largest(fit, (TURN + 2,)),
        "rotor_lag": _largest(fit, (LAG, LAG + 1)),
    }
    if fit.free[DRAG] and (fit.values[DRAG:WIND] > 0.0).all():
        shares["drag"] = _largest(fit, (DRAG, DRAG + 1))
    options = {name: f"{min(_WIDEST, _up(share)):g}" for name, share in shares.items()}
    if fit.free[WIND]:
        wind, error = fit.values[WIND:LATENCY], _reach(fit)[WIND:LATENCY]
        options["wind"] = f"{_up(float(np.sqrt((wind**2 + error**2).mean()))):g}"
    steps = round(fit.values[LATENCY] * TASK_HZ)
    return options | ({"action_latency": str(steps)} if steps > 0 else {})


def _reach(fit: Fit) -> Array:
    """Half widths (17,) of the intervals."""
    return 0.5 * (fit.intervals[:, 1] - fit.intervals[:, 0])


def _largest(fit: Fit, indices: Sequence[int]) -> float:
    """Largest half width over the estimate."""
    return max(float(_reach(fit)[index] / abs(fit.values[index])) for index in indices)


def _up(share: float) -> float:
    return math.ceil(share * _DIGITS) / _DIGITS
