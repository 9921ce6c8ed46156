"""Options that every quadrotor task has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from hgrpo_fields import OneOf, Range, check
from robots.options import OptionError
from robots.quadrotor.body.any_airframe import ANY
from robots.quadrotor.body.parameters import PRESETS
from robots.quadrotor.body.randomization import Randomization
from robots.quadrotor.body.vehicle_file.read import is_vehicle_text, with_vehicle
from robots.quadrotor.interfaces.catalogue import INTERFACES
from robots.quadrotor.physics.catalogue import BUILT_IN, engines
from robots.quadrotor.sensing.latency import Latency
from robots.quadrotor.sensing.sensors import SensorErrors


def airframes() -> tuple[str, ...]:
    """Every name of an airframe."""
    return (*PRESETS, ANY)


Penalty = Annotated[float, Range(least=0)]


@dataclass(frozen=True)
class FlightOptions(Randomization, SensorErrors, Latency):
    """Options of the quadrotor; raises OptionError for a value that is not allowed."""

    quadrotor: Annotated[str, OneOf(airframes, is_vehicle_text, "a vehicle file NAME.toml")] = "cf21B_500"
    """Preset of the airframe, or a vehicle file; `any` draws another airframe for every episode."""
    interface: Annotated[str, OneOf(INTERFACES.keys)] = "motors"
    """Quantity that an action commands: motors, thrust and body rates, or velocity."""
    physics: Annotated[str, OneOf(engines)] = BUILT_IN
    """Physics engine of the body; only the built-in one can be randomised."""
    action_difference_penalty: Penalty = 0.0
    """Weight of the penalty on the mean square of the change of action, actions scaled to [-1, 1]."""
    reward_terms: str = ""
    """Weights of the reward that differ from the task's, NAME=WEIGHT separated by commas."""
    difficulty: Annotated[float, Range(least=0, most=1)] = 1.0
    """Difficulty of the initial states and of the course."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "quadrotor", with_vehicle({"quadrotor": self.quadrotor})["quadrotor"])
        check(self, OptionError)
        if self.physics != BUILT_IN and self.draws_anything:
            drawn = [f"{name}={share:g}" for name, share in self.ranges.items() if share > 0.0]
            drawn += [f"quadrotor={ANY}"] if self.quadrotor == ANY else []
            raise OptionError(
                f"physics={self.physics} cannot be randomised, only {BUILT_IN} can; given {', '.join(drawn)}"
            )
        if self.quadrotor == ANY and self.interface != "motors":
            raise OptionError(
                f"the inner loops of interface={self.interface} are designed for one airframe; given quadrotor={ANY}, "
                f"allowed: interface=motors, or quadrotor one of {', '.join(PRESETS)}, or a vehicle file"
            )

    @property
    def draws_anything(self) -> bool:
        """Whether any parameter, or the airframe, is drawn."""
        return self.quadrotor == ANY or super().draws_anything
