"""Figures that follow from the numbers of a drone, and what is odd about them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters


class Figure(NamedTuple):
    """One figure of a drone."""

    name: str
    unit: str
    value: float
    least: float
    """Least value that is not odd: just below those of the presets, or of the range of quadrotor=any."""
    most: float
    hint: str
    """What to check where the value is outside."""

    @property
    def is_odd(self) -> bool:
        """Whether the value lies outside the usual range."""
        return not self.least <= self.value <= self.most


def figures_of(p: QuadrotorParameters) -> Iterator[Figure]:
    """Figures of a drone with their usual ranges."""
    arm, (jx, jy, jz), (x, y), full = math.hypot(*p.rotor_offset), p.inertia, p.rotor_offset, p.thrust(1.0)
    slow, moment = max(p.rotor_time_up, p.rotor_time_down), p.mass * arm * arm
    yield Figure("thrust to weight", "", p.thrust_to_weight, 1.4, 7.0, "thrust_curve is that of one rotor in N")
    yield Figure("hover command u", "", p.hover_rotor_speed, 0.2, 0.85, "the drone has little thrust to spare, or much")
    yield Figure("arm", "m", arm, 0.0, math.inf, "")
    scaled_arm = arm / (0.16 * p.mass ** (1.0 / 3.0))
    yield Figure(
        "arm / 0.16 m (m/kg)^(1/3)", "", scaled_arm, 0.7, 1.5, "the arm does not fit the mass as in the presets"
    )
    for axis, j in zip("xyz", p.inertia, strict=True):
        least, most = (0.12, 0.8) if axis == "z" else (0.08, 0.45)
        yield Figure(
            f"J{axis}{axis} / (m arm^2)", "", j / moment, least, most, "check inertia in kg m^2, mass and places"
        )
    yield Figure(
        "Jzz / (Jxx + Jyy)", "", jz / (jx + jy), 0.6, 1.0, "no body has more than 1, and a flat one has almost 1"
    )
    yield Figure("Jyy / Jxx", "", jy / jx, 0.6, 1.7, "check inertia and its axes")
    hint = "angular acceleration that the full thrust of one rotor gives"
    yield Figure("roll authority", "rad/s^2", full * y / jx, 40.0, 1600.0, hint)
    yield Figure("pitch authority", "rad/s^2", full * x / jy, 40.0, 1600.0, hint)
    yield Figure("yaw authority", "rad/s^2", full * abs(p.torque_per_thrust) / jz, 2.0, 500.0, hint)
    yield Figure("torque_per_thrust / arm", "", abs(p.torque_per_thrust) / arm, 0.04, 0.7, "check torque_per_thrust")
    for name, time in (("rotor_time_up", p.rotor_time_up), ("rotor_time_down", p.rotor_time_down)):
        yield Figure(name, "s", time, 0.005, 0.3, "0 is easier to fly than any real drone; hgrpo identify fits it")
    yield Figure("rotor bandwidth", "rad/s", 1.0 / slow if slow > 0.0 else math.inf, 0.0, math.inf, "")
    rate = math.sqrt(p.gains.rate[0] / slow) if slow > 0.0 else p.gains.rate[0]
    most = 5.0 / slow if slow > 0.0 else math.inf
    yield Figure("rate loop bandwidth", "rad/s", rate, 1.0, most, "the rotors are too slow for autopilot.rate")
    for axis, drag in zip(("across", "along"), p.drag, strict=True):
        yield Figure(f"drag {axis} / m", "1/s", drag / p.mass, 0.01, 1.5, "0 is no drag; hgrpo identify fits it")
    sideways = p.mass * GRAVITY * math.sqrt(p.thrust_to_weight**2 - 1.0)
    top = sideways / p.drag[0] if p.drag[0] > 0.0 else math.inf
    yield Figure("top speed", "m/s", top, 1.0, math.inf, "check drag in N s/m")


def odd_lines(p: QuadrotorParameters) -> Iterator[str]:
    """What is odd about a drone, one line each."""
    for figure in figures_of(p):
        if figure.is_odd:
            unit = f" {figure.unit}" if figure.unit else ""
            yield f"{figure.name} is {figure.value:.3g}{unit}; usual: {usual(figure)}{unit}; {figure.hint}"


def usual(figure: Figure) -> str:
    """The usual range of a figure; empty without one."""
    if math.isinf(figure.most):
        return f"at least {figure.least:.3g}" if figure.least > 0.0 else ""
    return f"{figure.least:.4g} to {figure.most:.4g}"
