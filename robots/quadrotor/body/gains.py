"""Gains and limits of the inner loops that fly a quadrotor on rate and velocity commands."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ControlGains:
    """What an autopilot of one airframe is tuned to; docs/concepts/quadrotor.md has the loops."""

    rate: tuple[float, float, float]
    """k_p: angular acceleration per error of the body rates about x, y, z [1/s]."""
    rate_integral: tuple[float, float, float]
    """k_i: the same per integrated error [1/s^2]."""
    rate_derivative: tuple[float, float, float]
    """k_d: angular acceleration taken back per measured angular acceleration [1]."""
    attitude: float
    """Body rate per error of the thrust direction [1/s]."""
    velocity: float
    """Acceleration per error of velocity [1/s]."""
    max_tilt: float = math.radians(45.0)
    """Greatest angle between commanded thrust and the vertical [rad]."""
    max_rate: tuple[float, float, float] = (10.0, 10.0, 3.0)
    """Bounds of a rate command about x, y, z [rad/s]."""
    max_speed: tuple[float, float, float] = (4.0, 4.0, 2.0)
    """Bounds of a velocity command forwards, sideways, upwards [m/s]."""


def tuned(rotor_time: float, bandwidth: float, yaw_bandwidth: float, attitude: float, velocity: float) -> ControlGains:
    """Rate loops with both poles at -bandwidth [rad/s] for rotors with a first-order lag of `rotor_time` [s].

    With a lag, angular acceleration a follows tau a' = k_p (rate_c - rate) - (1 + k_d) a, whose characteristic
    polynomial is tau s^2 + (1 + k_d) s + k_p: k_p = tau w^2 and k_d = 2 w tau - 1, or 0 where the lag alone damps more.
    Without one the loop is rate' = k_p (rate_c - rate), k_p = w. The integral has a time constant of about k_p / k_i =
    0.5 s.
    """

    def proportional(w: float) -> float:
        return rotor_time * w * w if rotor_time > 0.0 else w

    def derivative(w: float) -> float:
        return max(0.0, 2.0 * w * rotor_time - 1.0)

    across, about = proportional(bandwidth), proportional(yaw_bandwidth)
    return ControlGains(
        rate=(across, across, about),
        rate_integral=(2.0 * across, 2.0 * across, 2.0 * about),
        rate_derivative=(derivative(bandwidth), derivative(bandwidth), derivative(yaw_bandwidth)),
        attitude=attitude,
        velocity=velocity,
    )
