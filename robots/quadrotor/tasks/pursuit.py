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
from robots import noise
from robots.drawing.shapes import Shape, bar
from robots.quadrotor.body import rotation
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.pose import Pose, pose_of
from robots.quadrotor.draw import Draw, tilt_and_heading
from robots.quadrotor.flight.mission import (
    Drawing,
    Mission,
    StepContext,
    TaskResult,
)
from robots.quadrotor.flight.options import FlightOptions, Penalty
from robots.quadrotor.flight.state import FlightState
from robots.simulator import Channel

HOME = (0.0, 0.0, 2.5)  # m, world
HOME_SPREAD = 0.5  # m
PUSH, SPRING, DAMPING = 1.6, 0.8, 0.9  # m/s^2, 1/s^2, 1/s
VERTICAL = 0.25  # share of the push that acts along z
MAX_ACCELERATION = 4.0  # m/s^2
CORRELATION_TIME = 0.8  # s
START_DISTANCE, START_TILT, START_SPEED = 0.8, 0.3, 0.5  # m around the distance to keep, rad, m/s per axis
BAND = 0.25  # m around the distance to keep
VIEW_COSINE = math.cos(math.radians(30.0))
HOLD_SECONDS = 2.0
TOO_NEAR, TOO_FAR = 0.2, 4.0  # m
_STREAM = 0x7A26  # separates this noise from gusts, which use the key itself
_RECENT = 8  # number of past positions of the target, for pictures
_RECENT_EVERY = 10  # steps

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

    target: Tensor
    """(B, 3) position [m]."""
    velocity: Tensor
    """(B, 3) velocity [m/s]."""
    push: Tensor
    """(B, 3) n of the module's formula."""
    home: Tensor
    """(B, 3) centre of the target's motion [m]."""
    agility: Tensor
    """(B,) agility of the target, in [0, 1]."""
    recent: Tensor
    """(B, 8, 3) past positions of the target, every 0.1 s, newest first [m]."""
    held: Tensor
    """(B,) int64 consecutive steps in the band with the target in view."""
    in_band: Tensor
    """(B,) int64 steps in the band."""
    in_view: Tensor
    """(B,) int64 steps with the target in view."""
    error: Tensor
    """(B,) sum over all steps of the absolute error of distance [m]."""


def manoeuvre(mission: PursuitState, draw: Tensor, duration: float) -> PursuitState:
    """Move the target by one step of constant acceleration.

    Args:
        mission: B rows.
        draw: (B, 3) uniform numbers in (0, 1).
        duration: Length of the step [s].
    """
    keep = math.exp(-duration / CORRELATION_TIME)
    white = math.sqrt(12.0) * (draw - 0.5)
    push = keep * mission.push + math.sqrt(1.0 - keep * keep) * white
    acceleration = wanted(push, mission)
    half = 0.5 * duration * duration
    return mission._replace(
        target=mission.target + duration * mission.velocity + half * acceleration,
        velocity=mission.velocity + duration * acceleration,
        push=push,
    )


def wanted(push: Tensor, mission: PursuitState) -> Tensor:
    """Acceleration (B, 3) of the target [m/s^2], limited to MAX_ACCELERATION."""
    share = torch.tensor((1.0, 1.0, VERTICAL), dtype=push.dtype, device=push.device)
    free = PUSH * mission.agility.unsqueeze(1) * share * push
    free = free - SPRING * (mission.target - mission.home) - DAMPING * mission.velocity
    length = rotation.length(free.t()).unsqueeze(1)
    return free * (MAX_ACCELERATION / length.clamp_min(MAX_ACCELERATION))


class Pursuit(Mission):
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

    def __init__(
        self, options: FlightOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(options, parameters, dtype, device)
        assert isinstance(options, PursuitOptions)
        self.distance = options.distance

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
        agility = difficulty.squeeze(1).clone()
        recent = target.unsqueeze(1).repeat(1, _RECENT, 1)
        counts = (none, none.clone(), none.clone(), torch.zeros_like(agility))
        return body, PursuitState(target, velocity, push, home, agility, recent, *counts)

    def observe(self, pose: Pose, mission: PursuitState) -> Tensor:
        """Position [m] and velocity [m/s] of the target relative to the drone (6, B), in the body frame."""
        return torch.cat(
            (
                pose.in_body(mission.target.t() - pose.position),
                pose.in_body(mission.velocity.t() - pose.velocity),
            )
        )

    def advance(self, context: StepContext, mission: PursuitState) -> TaskResult:
        """Move the target and measure the errors; the module's docstring has the reward."""
        key = noise.split(context.noise_key, _STREAM)
        moved = manoeuvre(mission, noise.uniform(key, context.steps, 3, self.dtype), context.duration)
        pose = pose_of(context.after)
        distance, cosine = _sight(pose, moved)
        error = distance - self.distance
        in_band, in_view = error.abs() <= BAND, cosine >= VIEW_COSINE
        lost = context.grounded | (distance < TOO_NEAR) | (distance > TOO_FAR)
        holds = in_band & in_view & ~lost
        shift = (context.steps % _RECENT_EVERY == 0).unsqueeze(1).unsqueeze(2)
        later = torch.cat((mission.target.unsqueeze(1), mission.recent[:, :-1]), dim=1)
        new = moved._replace(
            recent=torch.where(shift, later, mission.recent),
            held=(mission.held + 1) * holds,
            in_band=mission.in_band + in_band,
            in_view=mission.in_view + in_view,
            error=mission.error + error.abs(),
        )
        facing = 0.5 * (1.0 + cosine)
        spin = 1.0 + 0.04 * rotation.squared_norm(pose.angular_velocity)
        squared = error * error
        terms = {
            "holding": facing * facing / ((1.0 + squared / 0.15**2) * spin),
            "near_distance": (1.0 + squared).reciprocal(),
            "facing": facing,
        }
        return TaskResult(new, terms, lost)

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
            "target speed [m/s]": rotation.length(mission.velocity.t()).unsqueeze(1),
        }

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
    distance = rotation.length(away)
    forward = away[0] * pose.rows[0, 0] + away[1] * pose.rows[1, 0] + away[2] * pose.rows[2, 0]
    return distance, forward / distance.clamp_min(1e-6)
