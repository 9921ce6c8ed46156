"""quadrotor-hover: go to a point from a random pose and hold it.

Observation, 16 entries by default, all in the body frame, so that nothing depends on the heading, which the task leaves
free:

| entries | quantity | unit |
|---|---|---|
| 0-2 | target minus position | m |
| 3-5 | velocity | m/s |
| 6-8 | direction of world z (up) | 1 |
| 9-11 | angular velocity | rad/s |
| 12-15 | motor commands of the previous step | 1 |

Reward per step, d = distance to the target [m]:

    1 / (1 + (d / 0.05)^2) / (1 + |omega|^2 / 4) + 0.5 / (1 + d^2) - 0.1 |a - a_previous|^2 / 4

The first term, `at_target`, is sharp near the target and is paid in full to a drone that does not turn, the second,
`near_target`, shows the way from afar; both stay positive, so that ending the episode early never pays a drone that
does not thrash its motors. The third is `action_difference_penalty`.

With `randomization` every episode draws an airframe and a wind of its own (randomization.py). The observation does not
show them; `privileged` does, to a critic that is thrown away after training. `difficulty` times the ranges of position,
tilt, speed and body rates is where episodes begin.

An episode ends for good on touching the ground or more than 3 m away from the target. Success: within 0.10 m during the
whole last second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.options import read_options
from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.pose import Pose
from robots.quadrotor.draw import Draw
from robots.quadrotor.flight.mission import (
    Drawing,
    Mission,
    StepContext,
    TaskResult,
)
from robots.quadrotor.flight.options import FlightOptions, Penalty
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.flight.state import FlightState
from robots.simulator import Channel

TARGET = (0.0, 0.0, 2.0)  # m, world; high enough to right a drone that starts on its side 1 m below
START_RADIUS = 1.0  # m
START_TILT = 0.5 * torch.pi  # rad
START_SPEED = 1.0  # m/s, per axis
START_RATE = 1.0  # rad/s, per axis
FLY_AWAY = 3.0  # m
SUCCESS_RADIUS = 0.10  # m
SUCCESS_SECONDS = 1.0
CONTROL_HZ = 100.0
EPISODE_SECONDS = 5.0


class HoverProgress(NamedTuple):
    """What the task itself remembers."""

    steps_inside: Tensor
    """(B,) int64, consecutive control steps within the success radius; 0 on the floor and after flying away."""


@dataclass(frozen=True)
class HoverOptions(FlightOptions):
    """Options of the task."""

    action_difference_penalty: Penalty = 0.1


class Hover(Mission):
    """Hold a point."""

    goal = f"the last {SUCCESS_SECONDS:g} s are spent within {SUCCESS_RADIUS:g} m of the target"
    observation = tuple(Channel(f"position_error_{axis}", "m", "body") for axis in "xyz")
    weights = {"at_target": 1.0, "near_target": 0.5}  # noqa: RUF012
    control_hz = CONTROL_HZ
    episode_seconds = EPISODE_SECONDS
    target_radius = SUCCESS_RADIUS

    def __init__(
        self, options: FlightOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(options, parameters, dtype, device)
        self.target = self.constant(*TARGET)

    def begin(self, draw: Draw, difficulty: Tensor) -> tuple[QuadrotorState, HoverProgress]:
        """Random poses, at difficulty 1: uniform in a ball of 1 m, tilt uniform up to 90 degrees about a random axis,
        any heading, rotors at hover speed."""
        position = self.target.t() + draw.in_ball(START_RADIUS * difficulty)
        attitude = draw.attitude(START_TILT * difficulty)
        speed, rate = START_SPEED * difficulty, START_RATE * difficulty
        body = self.body(position, draw.uniform(3, -speed, speed), attitude, draw.uniform(3, -rate, rate))
        return body, HoverProgress(torch.zeros(draw.num, dtype=torch.int64, device=self.device))

    def observe(self, pose: Pose, mission: HoverProgress) -> Tensor:
        """(3, B) target minus position in the body frame [m]."""
        return pose.in_body(self.target - pose.position)

    def advance(self, context: StepContext, mission: HoverProgress) -> TaskResult:
        """Count the steps inside, pay the module's formula, end on the floor and far away."""
        distance_squared = dynamics.squared_norm(self.target - context.after.position.t())
        inside = distance_squared <= SUCCESS_RADIUS**2
        terminated = context.grounded | (distance_squared > FLY_AWAY**2)
        # a row that ended was not inside: the target is 2 m above the floor
        progress = HoverProgress((mission.steps_inside + 1).mul_(inside))
        rate_squared = dynamics.squared_norm(context.after.angular_velocity.t())
        terms = {
            "at_target": ((1.0 + distance_squared / 0.05**2) * (1.0 + 0.25 * rate_squared)).reciprocal(),
            "near_target": (1.0 + distance_squared).reciprocal(),
        }
        return TaskResult(progress, terms, terminated)

    def success(self, state: FlightState) -> Tensor:
        """(B,) bool: the last second was spent within 0.10 m of the target."""
        inside: Tensor = state.mission.steps_inside
        return inside >= round(SUCCESS_SECONDS * CONTROL_HZ)

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Position error in the world frame."""
        return {"position error [m]": state.body.position - self.target.t()}

    def drawing(self, state: FlightState, row: int) -> Drawing:
        """The target."""
        return Drawing(TARGET)


class QuadrotorHover(QuadrotorFlight):
    """Hold a point: a Simulator over the built-in quadrotor; raises ValueError for an unknown quadrotor."""

    def __init__(
        self,
        options: HoverOptions = HoverOptions(),
        name: str = "quadrotor-hover",
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__(Hover, options, name, dtype, device)


def make_hover(
    name: str,
    defaults: HoverOptions,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    **given: Any,
) -> QuadrotorHover:
    """The task under a name, with some of its default options replaced; raises OptionError for one it does not have."""
    return QuadrotorHover(read_options(defaults, given), name, dtype, device)
