"""quadrotor-hover: go to a point from a random pose and hold it.

Observation, 16 entries by default, all in the body frame, so that it does not depend on the heading, which is free:

| entries | quantity | unit |
|---|---|---|
| 0-2 | target minus position | m |
| 3-5 | velocity | m/s |
| 6-8 | direction of world z (up) | 1 |
| 9-11 | angular velocity | rad/s |
| 12-15 | motor commands of the previous step | 1 |

Reward per step, d = distance to the target [m]:

    1 / (1 + (d / 0.05)^2) / (1 + |omega|^2 / 4) + 0.5 / (1 + d^2) - 0.1 |a - a_previous|^2 / 4

The first term, `at_target`, is narrow around the target and largest for a drone that does not turn. The second,
`near_target`, has a gradient far away. Both are positive, so that an early end of the episode does not increase the
return unless the motor commands change strongly. The third is `action_difference_penalty`.

`observation=raptor` has the entries of flight/setpoint.py instead. quadrotor-any is this task with them and another
airframe in every episode.

With randomisation every episode has its own airframe and wind (randomization.py). They are not in the observation but
in `privileged`, for a critic during training. `difficulty` scales the initial ranges of position, tilt, speed and body
rates.

An episode terminates on the ground or more than 3 m away from the target. Success: within 0.10 m of the target during
the whole last second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.interventions import Moved
from robots.options import read_options
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.draw import Draw
from robots.quadrotor.flight.mission import Drawing
from robots.quadrotor.flight.options import FlightOptions, Penalty
from robots.quadrotor.flight.setpoint import SetpointMission, SetpointOptions
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.hover_kernels import SUCCESS_RADIUS, TARGET, hover_functions, raptor_hover_functions
from robots.simulator import Channel

START_RADIUS = 1.0  # m
START_TILT = 0.5 * torch.pi  # rad
START_SPEED = 1.0  # m/s, per axis
START_RATE = 1.0  # rad/s, per axis
SUCCESS_SECONDS = 1.0
CONTROL_HZ = 100.0
EPISODE_SECONDS = 5.0


class HoverProgress(NamedTuple):
    """State of the mission."""

    counts: Tensor
    """(B, 1) int64; see `steps_inside`."""
    course: tuple[()] = ()
    values: tuple[()] = ()

    @property
    def steps_inside(self) -> Tensor:
        """(B,) int64 consecutive control steps within the success radius; 0 after termination."""
        return self.counts[:, 0]


@dataclass(frozen=True)
class HoverOptions(SetpointOptions):
    """Options of the task."""

    action_difference_penalty: Penalty = 0.1


class Hover(SetpointMission):
    """Hover at a point."""

    goal = f"the last {SUCCESS_SECONDS:g} s are spent within {SUCCESS_RADIUS:g} m of the target"
    observation = tuple(Channel(f"position_error_{axis}", "m", "body") for axis in "xyz")
    weights = {"at_target": 1.0, "near_target": 0.5}  # noqa: RUF012
    control_hz = CONTROL_HZ
    episode_seconds = EPISODE_SECONDS
    target_radius = SUCCESS_RADIUS
    values_size, counts_size = 0, 1

    def __init__(
        self, options: FlightOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(options, parameters, dtype, device)
        self.target = self.constant(*TARGET)

    def begin(self, draw: Draw, difficulty: Tensor) -> tuple[QuadrotorState, HoverProgress]:
        """Random initial states with rotors at hover speed.

        At difficulty 1 positions are uniform in a ball of 1 m and tilts uniform up to 90 degrees about a random axis.
        """
        position = self.target.t() + draw.in_ball(START_RADIUS * difficulty)
        attitude = self.attitude(draw, START_TILT * difficulty)
        speed, rate = START_SPEED * difficulty, START_RATE * difficulty
        body = self.body(position, draw.uniform(3, -speed, speed), attitude, draw.uniform(3, -rate, rate))
        return body, HoverProgress(torch.zeros(draw.num, 1, dtype=torch.int64, device=self.device))

    functions, raptor_functions = staticmethod(hover_functions), staticmethod(raptor_hover_functions)

    def success(self, state: FlightState) -> Tensor:
        """(B,) bool, true where the last second was within 0.10 m of the target."""
        inside: Tensor = state.mission.steps_inside
        return inside >= round(SUCCESS_SECONDS * CONTROL_HZ)

    def metrics(self, state: FlightState) -> dict[str, Tensor]:
        """Distance to the target at the end."""
        return {"position error [m]": (state.body.position - self.target.t()).norm(dim=1)}

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Position error in the world frame."""
        return {"position error [m]": state.body.position - self.target.t()}

    def target_place(self, state: FlightState) -> Tensor:
        """The target."""
        return self.target.t().expand_as(state.body.position)

    def with_target_moved(self, state: FlightState, by: Tensor) -> Moved:
        """The drone moves the other way, and the origin with the target, because the target is a constant."""
        body = state.body.changed(position=state.body.position - by)
        state = state._replace(body=body)
        if state.senses:
            measured = state.senses.measured.clone()
            measured[:, :, :3] -= by.unsqueeze(1)
            state = state._replace(senses=state.senses._replace(measured=measured))
        return Moved(state, tuple(by[0].tolist()))

    def drawing(self, state: FlightState, row: int) -> Drawing:
        """The target."""
        return Drawing(TARGET)


class QuadrotorHover(QuadrotorFlight):
    """Simulator of quadrotor-hover; arguments and errors are those of QuadrotorFlight."""

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
    """Simulator of quadrotor-hover; arguments and errors are those of make_flight."""
    return QuadrotorHover(read_options(defaults, given), name, dtype, device)
