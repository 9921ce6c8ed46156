"""quadrotor-track: follow a reference point that moves along a closed trajectory.

The trajectory (trajectories.py) is drawn in every episode: a circle, a figure eight or a random loop with random tilt
and heading. Its mean speed is between 0.5 and 2 m/s or that of the option `speed`. Observation, before the entries of
every quadrotor task: present and future positions of the reference relative to the drone, 15 entries in the body frame
[m].

`observation=raptor` has the entries of flight/setpoint.py instead, with the present reference and its velocity as
setpoint. quadrotor-any-track is this task with them and another airframe in every episode.

Reward per step, with d the distance to the reference [m]:

    1 / (1 + (d / 0.1)^2) / (1 + |omega|^2 / 25) + 0.5 / (1 + d^2) - 0.1 |a - a_previous|^2 / 4

An episode terminates on the floor and 2 m away from the reference. Success: the RMS position error is at most 0.15 m
from 2 s after the start to the time limit; the first 2 s do not count, because the drone must reach the reference
first.

`difficulty` scales the initial distance, speed and tilt of the drone, the tilt of the trajectory, the irregularity of a
loop, and the range of speeds above 0.5 m/s.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from hgrpo_fields import Range
from robots.drawing.shapes import Shape, bar
from robots.interventions import Moved
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.draw import Draw, tilt_and_heading
from robots.quadrotor.flight.mission import Drawing
from robots.quadrotor.flight.options import FlightOptions, Penalty
from robots.quadrotor.flight.setpoint import SetpointMission, SetpointOptions
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.scene import Camera
from robots.quadrotor.tasks.track import trajectories
from robots.quadrotor.tasks.track.kernels import (
    AHEAD,
    CONTROL_HZ,
    COUNTS,
    RATE,
    SETTLE_SECONDS,
    SPEED,
    START,
    VALUES,
    raptor_track_functions,
    track_functions,
)
from robots.quadrotor.tasks.track.trajectories import KNOTS, Trajectory
from robots.simulator import Channel

KINDS = ("circle", "eight", "spline")
CENTRE = (0.0, 0.0, 2.0)  # m, world
SIZE = (1.0, 1.5)  # m, radius of a circle, mean radius of a loop, half width of an eight
TILT = 0.4  # rad, of the trajectory's plane
ROUGHNESS = 0.2  # m, deviation of a loop's corners from a circle
SPEED_MIN, SPEED_MAX = 0.5, 2.0  # m/s
START_RADIUS, START_SPEED, START_TILT = 0.5, 0.5, 0.5  # m, m/s per axis, rad
SUCCESS_ERROR = 0.15  # m, RMS

_ORANGE = (1.0, 0.55, 0.05, 0.7)
_DRAWN = 96  # segments of a drawn lap


@dataclass(frozen=True)
class TrackOptions(SetpointOptions):
    """Options of the task."""

    action_difference_penalty: Penalty = 0.1
    trajectory: Literal["circle", "eight", "spline", "any"] = "any"
    """Shape of the trajectory; any draws one for each episode."""
    speed: Annotated[float, Range(least=0, most=10, unit="m/s")] = 0.0
    """Mean speed along the trajectory [m/s]; 0 draws it for each episode."""


class TrackState(NamedTuple):
    """State of the mission: the trajectory and errors so far."""

    course: Tensor
    """(B, 51) control points, rate, start and mean speed of the trajectory."""
    values: Tensor
    """(B, 1) sum of squared errors."""
    counts: Tensor
    """(B, 3) int64 steps, counted steps, and 1 after a crash."""

    @classmethod
    def of(
        cls,
        trajectory: Trajectory,
        speed: Tensor,
        steps: Tensor,
        squared_error: Tensor,
        counted: Tensor,
        crashed: Tensor,
    ) -> TrackState:
        """State of its parts; shapes and units are those of the properties."""
        points, *numbers = trajectory
        return cls(
            torch.cat((points.flatten(1), torch.stack((*numbers, speed), dim=1)), dim=1),
            squared_error.unsqueeze(1),
            torch.stack((steps, counted, crashed), dim=1),
        )

    @property
    def trajectory(self) -> Trajectory:
        """The trajectories."""
        points = self.course[:, :RATE].unflatten(1, (KNOTS, 3))
        return Trajectory(points, self.course[:, RATE], self.course[:, START])

    @property
    def speed(self) -> Tensor:
        """(B,) mean speed of the trajectory [m/s]."""
        return self.course[:, SPEED]

    @property
    def steps(self) -> Tensor:
        """(B,) int64 control steps since the start of the episode."""
        return self.counts[:, 0]

    @property
    def squared_error(self) -> Tensor:
        """(B,) sum of squared position errors over the counted steps [m^2]."""
        return self.values[:, 0]

    @property
    def counted(self) -> Tensor:
        """(B,) int64 number of counted steps."""
        return self.counts[:, 1]

    @property
    def crashed(self) -> Tensor:
        """(B,) bool, true where the drone touched the floor or lost the reference."""
        return self.counts[:, 2] != 0


class Track(SetpointMission):
    """Follow a trajectory."""

    goal = (
        f"the RMS position error, from {SETTLE_SECONDS:g} s after the start to the time limit, "
        f"is at most {SUCCESS_ERROR:g} m"
    )
    observation = tuple(Channel(f"reference_in_{1000 * t:.0f}_ms_{axis}", "m", "body") for t in AHEAD for axis in "xyz")
    weights = {"at_reference": 1.0, "near_reference": 0.5}  # noqa: RUF012
    control_hz = CONTROL_HZ
    episode_seconds = 6.0
    target_radius = 0.08
    values_size, counts_size = VALUES, COUNTS

    def __init__(
        self, options: FlightOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(options, parameters, dtype, device)
        assert isinstance(options, TrackOptions)
        self.kind, self.speed = options.trajectory, options.speed

    functions, raptor_functions = staticmethod(track_functions), staticmethod(raptor_track_functions)

    def function_numbers(self) -> tuple[float, ...]:
        """Times of the observed references from now [s]."""
        return AHEAD

    def begin(self, draw: Draw, difficulty: Tensor) -> tuple[QuadrotorState, TrackState]:
        """Random trajectory, and a drone near its first point."""
        trajectory, speed = self._trajectory(draw, difficulty)
        zero = torch.zeros_like(speed)
        first = trajectories.evaluate(trajectory, zero.unsqueeze(0))[:, 0].t()
        position = first + draw.in_ball(START_RADIUS * difficulty)
        fast = START_SPEED * difficulty
        velocity, attitude = draw.uniform(3, -fast, fast), self.attitude(draw, START_TILT * difficulty)
        body = self.body(position, velocity, attitude, draw.uniform(3, -fast, fast))
        none = torch.zeros(draw.num, dtype=torch.int64, device=self.device)
        return body, TrackState.of(trajectory, speed, none, zero, none, none)

    def _trajectory(self, draw: Draw, difficulty: Tensor) -> tuple[Trajectory, Tensor]:
        """Draw trajectories and their mean speeds (num,) [m/s]."""
        size, rough = draw.uniform(1, *SIZE), ROUGHNESS * difficulty
        radius, height = size + draw.uniform(8, -rough, rough), draw.uniform(8, -rough, rough)
        shapes = torch.stack((trajectories.circle(size), trajectories.eight(size), trajectories.loop(radius, height)))
        kind = draw.integers(1, 0, len(KINDS) - 1).squeeze(1)
        if self.kind != "any":
            kind = torch.full_like(kind, KINDS.index(self.kind))
        points = shapes[kind, torch.arange(draw.num, device=self.device)]
        turn = 2.0 * math.pi
        tilt, axis, heading = (
            draw.uniform(1, 0.0, TILT * difficulty),
            draw.uniform(1, 0.0, turn),
            draw.uniform(1, 0.0, turn),
        )
        points = trajectories.placed(points, self.constant(*CENTRE).t(), tilt_and_heading(tilt, axis, heading))
        speed = draw.uniform(1, SPEED_MIN, SPEED_MIN + (SPEED_MAX - SPEED_MIN) * difficulty).squeeze(1)
        if self.speed > 0.0:
            speed = torch.full_like(speed, self.speed)
        forwards = draw.uniform(1).squeeze(1) < 0.5
        return trajectories.at_speed(points, torch.where(forwards, speed, -speed), draw.uniform(1).squeeze(1)), speed

    def _reference(self, mission: TrackState, *ahead: float) -> Tensor:
        """Reference positions (3, k, B) [m] at k times from now [s]."""
        now = mission.steps.to(self.dtype) / self.control_hz
        return trajectories.evaluate(mission.trajectory, now + self.constant(*ahead))

    def _rms(self, mission: TrackState) -> Tensor:
        """RMS position error (B,) of the counted steps [m]; NaN before the first."""
        return (mission.squared_error / mission.counted.to(self.dtype)).sqrt()

    def success(self, state: FlightState) -> Tensor:
        """(B,) bool, true where the error is small enough at the time limit."""
        mission: TrackState = state.mission
        ended_in_time = mission.steps >= round(self.episode_seconds * self.control_hz)
        return ended_in_time & ~mission.crashed & (self._rms(mission) <= SUCCESS_ERROR)

    def metrics(self, state: FlightState) -> dict[str, Tensor]:
        """RMS position error after the first 2 s, NaN in shorter episodes, and speed of the reference."""
        return {"RMS position error [m]": self._rms(state.mission), "reference speed [m/s]": state.mission.speed}

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Position error and velocity of the reference, in the world frame."""
        mission: TrackState = state.mission
        now = mission.steps.to(self.dtype).unsqueeze(0) / self.control_hz
        return {
            "position error [m]": state.body.position - self._reference(mission, 0.0)[:, 0].t(),
            "reference velocity [m/s]": trajectories.evaluate(mission.trajectory, now, order=1)[:, 0].t(),
        }

    def target_place(self, state: FlightState) -> Tensor:
        """The reference."""
        return self._reference(state.mission, 0.0)[:, 0].t()

    def with_target_moved(self, state: FlightState, by: Tensor) -> Moved:
        """The whole trajectory moves."""
        mission: TrackState = state.mission
        points = mission.trajectory.points + by.unsqueeze(1)
        course = torch.cat((points.flatten(1), mission.course[:, RATE:]), dim=1)
        return Moved(state._replace(mission=mission._replace(course=course)))

    def drawing(self, state: FlightState, row: int) -> Drawing:
        """The lap as a line, the reference as the target, and two future references as small balls."""
        only = slice(row, row + 1)
        mission = TrackState(*(x[only] for x in state.mission))
        lap = torch.linspace(0.0, 1.0, _DRAWN + 1, dtype=self.dtype, device=self.device).unsqueeze(1)
        line = trajectories.evaluate(mission.trajectory, lap / mission.trajectory.rate)[:, :, 0].t().cpu().tolist()
        now, *later = self._reference(mission, 0.0, 0.2, 0.4)[:, :, 0].t().cpu().tolist()
        shapes = [bar(a, b, 0.008, _ORANGE) for a, b in itertools.pairwise(line) if math.dist(a, b) > 1e-5]
        shapes += [Shape("sphere", (0.03,), point, _ORANGE, glow=0.5) for point in later]
        return Drawing(now, shapes, Camera(CENTRE, 5.5, elevation=-20.0))
