"""quadrotor-pursuit: keep a set distance from a target that manoeuvres, and keep looking at it.

The target is a point with a bounded acceleration

    a = clip(1.6 agility n - 0.8 (p - home) - 0.9 v, 4 m/s^2),    n' = k n + sqrt(1 - k^2) xi,  k = exp(-h / 0.8 s)

where xi is white with unit variance, uniform in each axis, and the z component of n counts a quarter, so that the
target stays clear of the floor. xi is a function of the row's noise key and the step, so branches of a state meet
the same manoeuvres. The drone looks along its body x; its heading matters here.

Observation, before what every flight sees: the target's position and velocity relative to the drone, in the body frame.

Reward per step, e = distance to the target minus the one to keep [m], c = cosine of the angle between body x and the
direction to the target:

    1 / (1 + (e / 0.15)^2) ((1 + c) / 2)^2 / (1 + |omega|^2 / 25) + 0.5 / (1 + e^2) + 0.3 (1 + c) / 2
    - 0.1 |a - a_previous|^2 / 4

An episode ends for good on the floor, within 0.2 m of the target and 4 m away from it. Success: the last 2 s are spent
with |e| at most 0.25 m and the target in view, at most 30 degrees off body x.

`difficulty` is the target's agility, and scales how far from the set distance and how far from facing the target the
drone starts, how fast and how tilted.
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
from robots.quadrotor.body import dynamics
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
START_DISTANCE, START_TILT, START_SPEED = 0.8, 0.3, 0.5  # m more or less than asked for, rad, m/s per axis
BAND = 0.25  # m, to either side of the distance
VIEW_COSINE = math.cos(math.radians(30.0))
HOLD_SECONDS = 2.0
TOO_NEAR, TOO_FAR = 0.2, 4.0  # m
_STREAM = 0x7A26  # of the row's noise; gusts draw from the key itself
_RECENT = 8  # places of the target's path that are remembered
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
    """The target, and how well it was held."""

    target: Tensor
    """(B, 3) position [m]."""
    velocity: Tensor
    """(B, 3) of the target [m/s]."""
    push: Tensor
    """(B, 3) n of the module's formula."""
    home: Tensor
    """(B, 3) what the target stays around [m]."""
    agility: Tensor
    """(B,) in [0, 1]."""
    recent: Tensor
    """(B, 8, 3) where the target was, every 0.1 s, latest first [m]."""
    held: Tensor
    """(B,) int64 consecutive steps in the band with the target in view."""
    in_band: Tensor
    """(B,) int64 steps in the band."""
    in_view: Tensor
    """(B,) int64 steps with the target in view."""
    error: Tensor
    """(B,) sum of |distance - the one to keep| over all steps [m]."""


def manoeuvre(mission: PursuitState, draw: Tensor, duration: float) -> PursuitState:
    """The target `duration` seconds later, for numbers (B, 3) uniform in (0, 1); acceleration holds for the step."""
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
    """(B, 3) the target's acceleration under `push` [m/s^2], at most MAX_ACCELERATION long."""
    share = torch.tensor((1.0, 1.0, VERTICAL), dtype=push.dtype, device=push.device)
    free = PUSH * mission.agility.unsqueeze(1) * share * push
    free = free - SPRING * (mission.target - mission.home) - DAMPING * mission.velocity
    length = dynamics.squared_norm(free.t()).sqrt().unsqueeze(1)
    return free * (MAX_ACCELERATION / length.clamp_min(MAX_ACCELERATION))


class Pursuit(Mission):
    """Hold the distance to a moving target and face it."""

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
        """A target around its home, and a drone beside it that faces it more or less."""
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
        """(6, B) position and velocity of the target relative to the drone, in the body frame."""
        return torch.cat(
            (
                pose.in_body(mission.target.t() - pose.position),
                pose.in_body(mission.velocity.t() - pose.velocity),
            )
        )

    def advance(self, context: StepContext, mission: PursuitState) -> TaskResult:
        """Move the target, measure distance and bearing to where it is then, pay the module's formula."""
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
        spin = 1.0 + 0.04 * dynamics.squared_norm(pose.angular_velocity)
        squared = error * error
        terms = {
            "holding": facing * facing / ((1.0 + squared / 0.15**2) * spin),
            "near_distance": (1.0 + squared).reciprocal(),
            "facing": facing,
        }
        return TaskResult(new, terms, lost)

    def success(self, state: FlightState) -> Tensor:
        """(B,) bool: the target was held through the last two seconds."""
        held: Tensor = state.mission.held
        return held >= round(HOLD_SECONDS * self.control_hz)

    def metrics(self, state: FlightState) -> dict[str, Tensor]:
        """Mean distance error and shares of time over the whole episode."""
        mission: PursuitState = state.mission
        steps = state.steps.to(self.dtype)
        return {
            "mean distance error [m]": mission.error / steps,
            "time in the band [1]": mission.in_band / steps,
            "time in view [1]": mission.in_view / steps,
        }

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Distance error, angle between body x and the target, and the target's speed."""
        mission: PursuitState = state.mission
        distance, cosine = _sight(pose_of(state.body), mission)
        return {
            "distance error [m]": (distance - self.distance).unsqueeze(1),
            "bearing [deg]": torch.rad2deg(torch.acos(cosine.clamp(-1.0, 1.0))).unsqueeze(1),
            "target speed [m/s]": dynamics.squared_norm(mission.velocity.t()).sqrt().unsqueeze(1),
        }

    def drawing(self, state: FlightState, row: int) -> Drawing:
        """The target with the way it came, and the line of sight along body x, as long as the distance to keep."""
        mission, pose = state.mission, pose_of(QuadrotorState(*(part[row : row + 1] for part in state.body)))
        target = mission.target[row].tolist()
        places = [target, *mission.recent[row].tolist()]
        shapes = [bar(a, b, 0.008, _GREEN) for a, b in itertools.pairwise(places) if math.dist(a, b) > 1e-4]
        eye = pose.position[:, 0]
        shapes.append(bar(eye.tolist(), (eye + self.distance * pose.rows[:, 0, 0]).tolist(), 0.006, _VIEW))
        shapes.append(Shape("sphere", (self.target_radius,), target, (*_GREEN[:3], 0.9)))
        return Drawing(target, shapes)


def _sight(pose: Pose, mission: PursuitState) -> tuple[Tensor, Tensor]:
    """(B,) distance to the target [m], and cosine of the angle between body x and its direction."""
    away = mission.target.t() - pose.position
    distance = dynamics.squared_norm(away).sqrt()
    forward = away[0] * pose.rows[0, 0] + away[1] * pose.rows[1, 0] + away[2] * pose.rows[2, 0]
    return distance, forward / distance.clamp_min(1e-6)
