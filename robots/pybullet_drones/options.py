"""Options of the gym-pybullet-drones tasks, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from hgrpo_errors import nearest
from hgrpo_fields import Range, check
from robots.options import OptionError, read_options
from robots.registry import UnknownTaskError

AVIARIES = ("HoverAviary", "MultiHoverAviary", "VelocityAviary")


@dataclass(frozen=True)
class DroneOptions:
    """Options of the gpd tasks."""

    action: Literal["rpm", "one_d_rpm", "pid", "vel", "one_d_pid"] = "rpm"
    """Quantity that an action commands; VelocityAviary has vel alone."""
    drones: Annotated[int, Range(least=1)] = 1
    """Number of drones; HoverAviary has one."""
    workers: Annotated[int, Range(least=1)] = 1
    """Number of processes that step the rows; the results do not depend on it."""
    start: Literal["drawn", "fixed"] = "drawn"
    """Start of episodes: a pose drawn from the seed, or the environment's own."""

    def __post_init__(self) -> None:
        check(self, OptionError)


def drone_options(aviary: str, given: dict[str, Any]) -> DroneOptions:
    """Options of the task gpd/`aviary`.

    Raises:
        UnknownTaskError: There is no such aviary.
        OptionError: There is no such option, or its value is not allowed.
    """
    if aviary not in AVIARIES:
        raise UnknownTaskError(f"gpd/{aviary}", nearest(f"gpd/{aviary}", tuple(f"gpd/{name}" for name in AVIARIES)))
    defaults = DroneOptions(
        action="vel" if aviary == "VelocityAviary" else "rpm", drones=2 if aviary == "MultiHoverAviary" else 1
    )
    options = read_options(defaults, given)
    if aviary == "VelocityAviary" and options.action != "vel":
        raise OptionError(f"gpd/{aviary} has no action={options.action}; allowed: vel")
    if aviary == "HoverAviary" and options.drones != 1:
        raise OptionError(
            f"gpd/HoverAviary has one drone; given {options.drones}; did you mean 'gpd/MultiHoverAviary'?"
        )
    return options
