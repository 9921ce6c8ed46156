"""Numbers that no drone can have, such as those in another unit."""

from __future__ import annotations

import math

from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters

_LEAST_LIFT, _MOST_LIFT = 1.05, 40.0  # full thrust over weight
_LEAST_RADIUS, _MOST_RADIUS = 0.005, 8.0  # J / (m l^2)


def problem_of(p: QuadrotorParameters) -> str:
    """Why no drone can have these numbers, in one line; empty if one can."""
    _, c1, c2 = p.thrust_curve
    lift, arm = p.thrust_to_weight, math.hypot(*p.rotor_offset)
    if not _LEAST_LIFT <= lift <= _MOST_LIFT:
        return (
            f"full thrust of four rotors is {lift:.3g} times the weight (thrust_curve in N of one rotor, mass "
            f"{p.mass:g} kg); allowed: from {_LEAST_LIFT:g} to {_MOST_LIFT:g}"
        )
    if c1 + 2.0 * c2 * p.rotor_speed_min < 0.0 or c1 + 2.0 * c2 < 0.0:
        return f"thrust_curve {list(p.thrust_curve)} falls between idle and full speed; allowed: a curve that rises"
    if 4.0 * p.thrust(p.rotor_speed_min) >= p.mass * GRAVITY:
        return f"at idle, rotor_speed_min {p.rotor_speed_min:g}, the thrust exceeds the weight; allowed: less"
    for axis, moment in zip("xyz", p.inertia, strict=True):
        scaled = moment / (p.mass * arm * arm)
        if not _LEAST_RADIUS <= scaled <= _MOST_RADIUS:
            return (
                f"inertia J{axis}{axis} {moment:g} kg m^2 is {scaled:.3g} times mass times arm^2 ({p.mass:g} kg, "
                f"{arm:g} m); allowed: from {_LEAST_RADIUS:g} to {_MOST_RADIUS:g}"
            )
    return ""
