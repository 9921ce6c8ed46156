"""Options of the gym-pybullet-drones tasks, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hgrpo_errors import nearest
from robots.options import OptionError, read_options
from robots.registry import UnknownTaskError

AVIARIES = ("HoverAviary", "MultiHoverAviary", "VelocityAviary")
ACTIONS = ("rpm", "one_d_rpm", "pid", "vel", "one_d_pid")
STARTS = ("drawn", "fixed")


@dataclass(frozen=True)
class DroneOptions:
    """What may be chosen about a gpd task."""

    action: str = "rpm"
    """rpm, one_d_rpm, pid, vel or one_d_pid; VelocityAviary has vel alone."""
    drones: int = 1
    """Number of drones; HoverAviary has one."""
    workers: int = 1
    """Processes that the rows are spread over; the results do not depend on it."""
    start: str = "drawn"
    """drawn (a pose per seed) or fixed (the environment's own start in every episode)."""


def drone_options(aviary: str, given: dict[str, Any]) -> DroneOptions:
    """Options of gpd/`aviary`; raises UnknownTaskError for another aviary, OptionError for what it does not take."""
    if aviary not in AVIARIES:
        raise UnknownTaskError(f"gpd/{aviary}", nearest(f"gpd/{aviary}", tuple(f"gpd/{name}" for name in AVIARIES)))
    defaults = DroneOptions(
        action="vel" if aviary == "VelocityAviary" else "rpm", drones=2 if aviary == "MultiHoverAviary" else 1
    )
    options = read_options(defaults, given)
    actions = ("vel",) if aviary == "VelocityAviary" else ACTIONS
    for name, value, allowed in (("action", options.action, actions), ("start", options.start, STARTS)):
        if value not in allowed:
            raise OptionError(f"gpd/{aviary} has no {name}={value!r}; {nearest(value, allowed)}")
    for name, number in (("drones", options.drones), ("workers", options.workers)):
        if number < 1:
            raise OptionError(f"task option {name} must be a whole number from 1; given {number}")
    if aviary == "HoverAviary" and options.drones != 1:
        raise OptionError(
            f"gpd/HoverAviary has one drone; given {options.drones}; did you mean 'gpd/MultiHoverAviary'?"
        )
    return options
