"""Gains and limits of the inner control loops for rate and velocity commands."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ControlGains:
    """Gains of the autopilot of one airframe; docs/concepts/quadrotor.md has the loops."""

    rate: tuple[float, float, float]
    """k_p: angular acceleration per error of the body rates about x, y, z [1/s]."""
    rate_integral: tuple[float, float, float]
    """k_i: angular acceleration per integrated error of the body rates [1/s^2]."""
    rate_derivative: tuple[float, float, float]
    """k_d: reduction of angular acceleration per measured angular acceleration [1]."""
    attitude: float
    """Body rate per error of the thrust direction [1/s]."""
    velocity: float
    """Acceleration per error of velocity [1/s]."""
    max_tilt: float = math.radians(45.0)
    """Largest angle between commanded thrust and the vertical [rad]."""
    max_rate: tuple[float, float, float] = (10.0, 10.0, 3.0)
    """Bounds of a rate command about x, y, z [rad/s]."""
    max_speed: tuple[float, float, float] = (4.0, 4.0, 2.0)
    """Bounds of a velocity command forwards, sideways, upwards [m/s]."""


def tuned(rotor_time: float, bandwidth: float, yaw_bandwidth: float, attitude: float, velocity: float) -> ControlGains:
    """Gains of rate loops with both poles at -bandwidth.

    With a lag tau of the rotors the angular acceleration a follows tau a' = k_p (rate_c - rate) - (1 + k_d) a. The
    characteristic polynomial is tau s^2 + (1 + k_d) s + k_p, so k_p = tau w^2 and k_d = 2 w tau - 1, or 0 if the lag
    alone damps more. Without a lag the loop is rate' = k_p (rate_c - rate) with k_p = w. The integral has a time
    constant of about k_p / k_i = 0.5 s.

    Args:
        rotor_time: Time constant tau of the rotors' first-order lag [s]; 0 is no lag.
        bandwidth: Bandwidth w about body x and y [rad/s].
        yaw_bandwidth: Bandwidth w about body z [rad/s].
        attitude: Gain of the attitude loop [1/s].
        velocity: Gain of the velocity loop [1/s].
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
