"""Disturbances of an evaluation by name: wind, another mass, weak rotors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hgrpo_errors import HgrpoError, nearest
from hgrpo_fields import Range
from robots.interventions import Disturbable, Disturbance
from robots.simulator import Simulator

_ACCELERATION = Range(least=-50, most=50, unit="m/s^2")
DISTURBANCES: dict[str, Range] = {
    "mass": Range(least=0.2, most=5),
    **{f"rotor{i}": Range(least=0, most=2) for i in (1, 2, 3, 4)},
    "wind": _ACCELERATION,
    "wind_y": _ACCELERATION,
    "wind_z": _ACCELERATION,
}
"""Allowed values: factors of the mass and of the thrust of each rotor, and a constant acceleration along world x
(wind), y and z."""


class DisturbanceError(HgrpoError):
    """Raised for a disturbance that does not exist or has no effect."""


def read_disturbances(words: Mapping[str, str]) -> dict[str, float]:
    """Disturbances from words; raises DisturbanceError for an unknown name or a value that is not allowed."""
    return {name: read_disturbance(name, word) for name, word in words.items()}


def read_disturbance(name: str, word: str) -> float:
    """Value of a disturbance; raises DisturbanceError for an unknown name or a value that is not allowed."""
    if name not in DISTURBANCES:
        raise DisturbanceError(f"unknown disturbance {name!r}; {nearest(name, tuple(DISTURBANCES))}")
    try:
        value = float(word)
    except ValueError:
        raise DisturbanceError(f"disturbance {name} must be a number; given {word!r}") from None
    if value not in DISTURBANCES[name]:
        raise DisturbanceError(f"disturbance {name} must be {DISTURBANCES[name]}; given {word}")
    return value


def disturbance_of(values: Mapping[str, float]) -> Disturbance | None:
    """The hidden parameters that disturbances set; None without any."""
    if not values:
        return None
    rotors = tuple(values.get(f"rotor{i}") for i in (1, 2, 3, 4))
    blows = any(name in values for name in ("wind", "wind_y", "wind_z"))
    return Disturbance(
        mass=values.get("mass"),
        wind=(values.get("wind", 0.0), values.get("wind_y", 0.0), values.get("wind_z", 0.0)) if blows else None,
        rotors=rotors if any(factor is not None for factor in rotors) else (),
    )


def require_disturbable(simulator: Simulator, names: Sequence[str]) -> None:
    """Raise DisturbanceError if disturbances are given for a task that has none."""
    if names and not (isinstance(simulator, Disturbable) and simulator.can_be_disturbed):
        raise DisturbanceError(
            f"{simulator.spec.name} has no disturbances; given {', '.join(names)}; allowed: a quadrotor task with "
            "physics=built-in"
        )
