"""Options that every quadrotor task has."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robots.options import OptionError
from robots.quadrotor.body.randomization import Randomization
from robots.quadrotor.physics.catalogue import BUILT_IN
from robots.quadrotor.sensing.latency import Latency
from robots.quadrotor.sensing.sensors import SensorErrors


@dataclass(frozen=True)
class FlightOptions(Randomization, SensorErrors, Latency):
    """The quadrotor, how it is commanded and what varies around it; raises OptionError for what means nothing."""

    quadrotor: str = "cf21B_500"
    """Name of a parameter preset."""
    interface: str = "motors"
    """What an action commands; see robots/quadrotor/interfaces."""
    physics: str = BUILT_IN
    """What moves the body; see robots/quadrotor/physics. Others than the built-in have an airframe and air of their
    own, which cannot be randomised."""
    action_difference_penalty: float = 0.0
    """Paid per step: minus this times the mean square of the change of action, actions scaled to [-1, 1]."""
    difficulty: float = 1.0
    """In [0, 1]; each task says what it changes."""

    def __post_init__(self) -> None:
        Randomization.__post_init__(self)
        SensorErrors.__post_init__(self)
        Latency.__post_init__(self)
        if self.physics != BUILT_IN and self.draws_anything:
            drawn = ", ".join(f"{name}={share:g}" for name, share in self.ranges.items() if share > 0.0)
            raise OptionError(f"physics={self.physics} cannot be randomised, only {BUILT_IN} can; given {drawn}")
        if not 0.0 <= self.difficulty <= 1.0:
            raise OptionError(f"difficulty must lie in [0, 1]; given {self.difficulty}")
        if not 0.0 <= self.action_difference_penalty < math.inf:
            raise OptionError(
                f"action_difference_penalty must be finite and not negative; given {self.action_difference_penalty}"
            )
