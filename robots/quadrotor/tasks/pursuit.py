"""quadrotor-pursuit: keep a given distance from a manoeuvring target and face it.

The target is a point with a bounded acceleration

    a = clip(1.6 agility n - 0.8 (p - home) - 0.9 v, 4 m/s^2),    n' = k n + sqrt(1 - k^2) xi,  k = exp(-h / 0.8 s)

where xi is white with unit variance, uniform per axis. The z component of n has the weight 1/4, so that the target
stays above the floor. xi is a function of the row's noise key and the step, so branches of a state have the same
manoeuvres. The drone looks along its body x, so its heading matters.

Observation, before the entries of every quadrotor task: position and velocity of the target relative to the drone, in
the body frame.

Reward per step, with e the distance to the target minus the distance to keep [m] and c the cosine of the angle between
body x and the direction to the target:

    1 / (1 + (e / 0.15)^2) ((1 + c) / 2)^2 / (1 + |omega|^2 / 25) + 0.5 / (1 + e^2) + 0.3 (1 + c) / 2
    - 0.1 |a - a_previous|^2 / 4

An episode terminates on the floor, within 0.2 m of the target and 4 m away from it. Success: in the last 2 s |e| is at
most 0.25 m and the target is in view, at most 30 degrees off body x.

`difficulty` is the agility of the target and scales the initial errors of distance and direction, the speed and the
tilt.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from hgrpo_fields import Range
from robots.drawing.shapes import Shape, bar
from robots.interventions import Moved
from robots.quadrotor.body import rotation
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.pose import Pose, pose_of
from robots.quadrotor.draw import Draw, tilt_and_heading
from robots.quadrotor.flight.kernel_mission import KernelMission
from robots.quadrotor.flight.mission import Drawing
from robots.quadrotor.flight.options import FlightOptions, Penalty
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.pursuit_kernels import (
    BAND,
    COUNTS,
    ERROR_AT,
    PUSH_AT,
    RECENT,
    RECENT_AT,
    TARGET_AT,
    TOO_NEAR,
    VALUES,
    VELOCITY_AT,
    function_numbers,
    pursuit_functions,
)
from robots.simulator import Channel

HOME = (0.0, 0.0, 2.5)  # m, world
HOME_SPREAD = 0.5  # m
START_DISTANCE, START_TILT, START_SPEED = 0.8, 0.3, 0.5  # m around the distance to keep, rad, m/s per axis
HOLD_SECONDS = 2.0

_GREEN = (0.10, 0.75, 0.35, 0.6)
_VIEW = (0.1, 0.5, 0.95, 0.35)


@dataclass(frozen=True)
class PursuitOptions(FlightOptions):
    """Options of the task."""

    action_difference_penalty: Penalty = 0.1
    distance: Annotated[float, Range(least=0.5, most=3, unit="m")] = 1.0
    """Distance to keep from the target [m]."""


class PursuitState(NamedTuple):
    """State of the mission: the target, and errors so far."""

    course: Tensor
    """(B, 4) home and agility."""
    values: Tensor
    """(B, 34) target, velocity, push, recent places and error."""
    counts: Tensor
    """(B, 3) int64 steps held, in the band and in view."""

    @classmethod
    def of(
        cls,
        target: Tensor,
        velocity: Tensor,
        push: Tensor,
        home: Tensor,
        agility: Tensor,
        recent: Tensor,
        held: Tensor,
        in_band: Tensor,
        in_view: Tensor,
        error: Tensor,
    ) -> PursuitState:
        """State of its parts; shapes and units are those of the properties."""
        return cls(
            torch.cat((home, agility.unsqueeze(1)), dim=1),
            torch.cat((target, velocity, push, recent.flatten(1), error.unsqueeze(1)), dim=1),
            torch.stack((held, in_band, in_view), dim=1),
        )

    @property
    def target(self) -> Tensor:
        """(B, 3) position [m]."""
        return self.values[:, TARGET_AT:VELOCITY_AT]

    @property
    def velocity(self) -> Tensor:
        """(B, 3) velocity [m/s]."""
        return self.values[:, VELOCITY_AT:PUSH_AT]

    @property
    def push(self) -> Tensor:
        """(B, 3) n of the module's formula."""
        return self.values[:, PUSH_AT:RECENT_AT]

    @property
    def home(self) -> Tensor:
        """(B, 3) centre of the target's motion [m]."""
        return self.course[:, :3]

    @property
    def agility(self) -> Tensor:
        """(B,) agility of the target, in [0, 1]."""
        return self.course[:, 3]

    @property
    def recent(self) -> Tensor:
        """(B, 8, 3) past positions of the target, every 0.1 s, newest first [m]."""
        return self.values[:, RECENT_AT:ERROR_AT].unflatten(1, (RECENT, 3))

    @property
    def held(self) -> Tensor:
        """(B,) int64 consecutive steps in the band with the target in view."""
        return self.counts[:, 0]

    @property
    def in_band(self) -> Tensor:
        """(B,) int64 steps in the band."""
        return self.counts[:, 1]

    @property
    def in_view(self) -> Tensor:
        """(B,) int64 steps with the target in view."""
        return self.counts[:, 2]

    @property
    def error(self) -> Tensor:
        """(B,) sum over all steps of the absolute error of distance [m]."""
        return self.values[:, ERROR_AT]


class Pursuit(KernelMission):
    """Keep the distance to a moving target and face it."""

    goal = (
        f"the last {HOLD_SECONDS:g} s are spent within {BAND:g} m of the distance to keep, with the target at most 30 "
        "degrees off body x"
    )
    noise = True
    observation = tuple(
        Channel(f"target_{name}_{axis}", unit, "body")
        for name, unit in (("position", "m"), ("velocity", "m/s"))
        for axis in "xyz"
    )
    weights = {"holding": 1.0, "near_distance": 0.5, "facing": 0.3}  # noqa: RUF012
    episode_seconds = 8.0
    target_radius = 0.08
    values_size, counts_size = VALUES, COUNTS

    def __init__(
        self, options: FlightOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        assert isinstance(options, PursuitOptions)
        self.distance = options.distance
        super().__init__(options, parameters, dtype, device)

    functions = staticmethod(pursuit_functions)

    def function_numbers(self) -> tuple[float, ...]:
        """As KernelMission.function_numbers."""
        return function_numbers(self.distance, 1.0 / self.control_hz)

    def begin(self, draw: Draw, difficulty: Tensor) -> tuple[QuadrotorState, PursuitState]:
        """A target near its home, and a drone that faces it with an error."""
        home = self.constant(*HOME).t() + draw.in_ball(HOME_SPREAD)
        target, velocity = home + draw.in_ball(0.3 * difficulty), draw.in_ball(0.5 * difficulty)
        heading = draw.uniform(1, -math.pi, math.pi)
        wrong = min(START_DISTANCE, self.distance - TOO_NEAR - 0.1) * difficulty
        away = self.distance + draw.uniform(1, -1.0, 1.0) * wrong
        ahead = torch.cat((torch.cos(heading), torch.sin(heading), torch.zeros_like(heading)), dim=1)
        off = draw.uniform(1, -math.pi, math.pi) * difficulty
        tilt, axis = draw.uniform(1, 0.0, START_TILT * difficulty), draw.uniform(1, 0.0, 2.0 * math.pi)
        fast = START_SPEED * difficulty
        body = self.body(
            target - away * ahead,
            draw.uniform(3, -fast, fast),
            tilt_and_heading(tilt, axis, heading + off),
            draw.uniform(3, -fast, fast),
        )
        push = draw.uniform(3, -math.sqrt(3.0), math.sqrt(3.0))
        none = torch.zeros(draw.num, dtype=torch.int64, device=self.device)
        agility = difficulty.squeeze(1)
        recent, error = target.unsqueeze(1).repeat(1, RECENT, 1), torch.zeros_like(agility)
        return body, PursuitState.of(target, velocity, push, home, agility, recent, none, none, none, error)

    def success(self, state: FlightState) -> Tensor:
        """(B,) bool, true where the target was in band and view for the last two seconds."""
        held: Tensor = state.mission.held
        return held >= round(HOLD_SECONDS * self.control_hz)

    def metrics(self, state: FlightState) -> dict[str, Tensor]:
        """Mean error of distance, and shares of time in band and in view."""
        mission: PursuitState = state.mission
        steps = state.steps.to(self.dtype)
        return {
            "mean distance error [m]": mission.error / steps,
            "time in the band [1]": mission.in_band / steps,
            "time in view [1]": mission.in_view / steps,
        }

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Error of distance, angle between body x and the target, and speed of the target."""
        mission: PursuitState = state.mission
        distance, cosine = _sight(pose_of(state.body), mission)
        return {
            "distance error [m]": (distance - self.distance).unsqueeze(1),
            "bearing [deg]": torch.rad2deg(torch.acos(cosine.clamp(-1.0, 1.0))).unsqueeze(1),
            "target speed [m/s]": rotation.squared_norm(mission.velocity.t()).sqrt().unsqueeze(1),
        }

    def target_place(self, state: FlightState) -> Tensor:
        """The target."""
        target: Tensor = state.mission.target
        return target

    def with_target_moved(self, state: FlightState, by: Tensor) -> Moved:
        """The target and its home move."""
        course, values = state.mission.course.clone(), state.mission.values.clone()
        course[:, :3] += by
        values[:, TARGET_AT:VELOCITY_AT] += by
        return Moved(state._replace(mission=state.mission._replace(course=course, values=values)))

    def drawing(self, state: FlightState, row: int) -> Drawing:
        """The target with its path, and a line along body x as long as the distance to keep."""
        mission, pose = state.mission, pose_of(QuadrotorState(state.body.values[row : row + 1]))
        target = mission.target[row].tolist()
        places = [target, *mission.recent[row].tolist()]
        shapes = [bar(a, b, 0.008, _GREEN) for a, b in itertools.pairwise(places) if math.dist(a, b) > 1e-4]
        eye = pose.position[:, 0]
        shapes.append(bar(eye.tolist(), (eye + self.distance * pose.rows[:, 0, 0]).tolist(), 0.006, _VIEW))
        shapes.append(Shape("sphere", (self.target_radius,), target, (*_GREEN[:3], 0.9)))
        return Drawing(target, shapes)


def _sight(pose: Pose, mission: PursuitState) -> tuple[Tensor, Tensor]:
    """Distance (B,) to the target [m], and cosine (B,) of its angle to body x."""
    away = mission.target.t() - pose.position
    distance = rotation.squared_norm(away).sqrt()
    forward = away[0] * pose.rows[0, 0] + away[1] * pose.rows[1, 0] + away[2] * pose.rows[2, 0]
    return distance, forward / distance.clamp_min(1e-6)
