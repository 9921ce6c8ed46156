"""quadrotor-waypoints: fly through a sequence of random points in order.

Observation, 19 entries by default, all in the body frame:

| entries | quantity | unit |
|---|---|---|
| 0-2 | current point minus position | m |
| 3-5 | next point minus position; on the last leg the last point again | m |
| 6-18 | velocity, direction of world z, angular velocity, previous action | m/s, 1, rad/s, 1 |

Reward per step, with d the distance to the current point before and after the step [m]:

    10 (d_before - d_after) + 5 reached - 0.0005 |omega|^2 - 10 crashed - 0.02 |a - a_previous|^2 / 4

The first four terms are `progress`, `reached`, `angular_velocity` and `crashed`. The sum of progress is the length of
the legs for any flight, so fast flight gains only by the discount, also a drone that turns early for the next leg.

A point is reached if the straight segment between two control steps comes within `radius` of it, so a fast drone cannot
jump over it; at most one point per step. The episode terminates with the last point (success), on the ground, or more
than 4 m away from the current point. Points are in the arena, |x| and |y| <= 3 m, z from 0.5 to 4.5 m. The arena has no
walls, and a drone may leave it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from hgrpo_fields import Range
from robots.drawing.shapes import Shape, bar
from robots.interventions import Moved
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.draw import Draw
from robots.quadrotor.flight.kernel_mission import KernelMission
from robots.quadrotor.flight.mission import Drawing
from robots.quadrotor.flight.options import FlightOptions, Penalty
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.scene import Camera
from robots.quadrotor.tasks.waypoint_kernels import waypoint_functions
from robots.simulator import Channel

ARENA_LOW, ARENA_HIGH = (-3.0, -3.0, 0.5), (3.0, 3.0, 4.5)  # m, world
START_LOW, START_HIGH = (-2.0, -2.0, 1.5), (2.0, 2.0, 3.5)  # m, world
SHORTEST_LEG, LONGEST_LEG = 0.5, 2.0  # m; the longest is at most half the arena, see `next_point`
START_TILT = 0.5 * torch.pi  # rad
START_SPEED = 1.0  # m/s, per axis
START_RATE = 1.0  # rad/s, per axis
SECONDS_PER_POINT = 2.0

_PASSED, _CURRENT, _NEXT, _LATER = (0.55, 0.58, 0.62), (0.10, 0.80, 0.30), (1.0, 0.65, 0.10), (0.25, 0.45, 0.85)


@dataclass(frozen=True)
class WaypointOptions(FlightOptions):
    """Options of the task."""

    points: Annotated[int, Range(least=1)] = 5
    """Points to reach in an episode, each 0.5 to 2 m from the former."""
    radius: Annotated[float, Range(above=0, below=SHORTEST_LEG, unit="m")] = 0.2
    """Distance at which a point is reached, less than the shortest leg [m]."""
    action_difference_penalty: Penalty = 0.02


class WaypointState(NamedTuple):
    """State of the mission; waypoint_kernels.py has the order of the numbers."""

    course: Tensor
    """(B, 3 P) points."""
    counts: Tensor
    """(B, 2) int64 number of points, and a flag."""
    values: tuple[()] = ()

    @classmethod
    def of(cls, points: Tensor, reached: Tensor, crashed: Tensor) -> WaypointState:
        """State of its parts; shapes and units are those of the properties."""
        return cls(points.flatten(1), torch.stack((reached, crashed.to(torch.int64)), dim=1))

    @property
    def points(self) -> Tensor:
        """(B, P, 3) points in their order, world frame [m]."""
        return self.course.unflatten(1, (-1, 3))

    @property
    def reached(self) -> Tensor:
        """(B,) int64 number of points reached."""
        return self.counts[:, 0]

    @property
    def crashed(self) -> Tensor:
        """(B,) bool, true where the drone touched the ground or was lost."""
        return self.counts[:, 1] != 0


class Waypoints(KernelMission):
    """Reach points in order."""

    goal = "all points are reached in order, without touching the ground, before the time is up"
    observation = tuple(Channel(f"{which}_point_{axis}", "m", "body") for which in ("this", "next") for axis in "xyz")
    weights = {"progress": 10.0, "reached": 5.0, "angular_velocity": -0.0005, "crashed": -10.0}  # noqa: RUF012
    values_size, counts_size = 0, 2
    functions = staticmethod(waypoint_functions)
    options: WaypointOptions

    def __init__(
        self, options: WaypointOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(options, parameters, dtype, device)
        self.episode_seconds = SECONDS_PER_POINT * options.points
        self.target_radius = options.radius

    def function_numbers(self) -> tuple[float, ...]:
        """Squared radius."""
        return (self.options.radius**2,)

    def begin(self, draw: Draw, difficulty: Tensor) -> tuple[QuadrotorState, WaypointState]:
        """Random initial states in the middle of the arena.

        Difficulty scales the ranges of tilt (90 degrees), speed (1 m/s) and body rates (1 rad/s). Legs are uniform from
        0.5 m to 0.5 m + 1.5 m times difficulty.
        """
        place = torch.cat(
            [draw.uniform(1, low, high) for low, high in zip(START_LOW, START_HIGH, strict=True)],
            dim=1,
        )
        attitude = draw.attitude(START_TILT * difficulty)
        speed, rate = START_SPEED * difficulty, START_RATE * difficulty
        body = self.body(place, draw.uniform(3, -speed, speed), attitude, draw.uniform(3, -rate, rate))
        longest = SHORTEST_LEG + (LONGEST_LEG - SHORTEST_LEG) * difficulty
        points = []
        for _ in range(self.options.points):
            place = next_point(place, draw.uniform(1, SHORTEST_LEG, longest) * draw.direction())
            points.append(place)
        nothing = torch.zeros(draw.num, dtype=torch.int64, device=self.device)
        return body, WaypointState.of(torch.stack(points, dim=1), nothing, nothing)

    def success(self, state: FlightState) -> Tensor:
        """(B,) bool, true where every point is reached and the drone has not crashed."""
        mission: WaypointState = state.mission
        return (mission.reached == self.options.points) & ~mission.crashed

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Vector to the current point in the world frame, and points reached."""
        mission: WaypointState = state.mission
        error = self.target_place(state) - state.body.position
        return {"vector to the point [m]": error, "points reached [1]": mission.reached.to(self.dtype)[:, None]}

    def metrics(self, state: FlightState) -> dict[str, Tensor]:
        """Points per minute, points reached, crash, and the time of episodes with all points reached."""
        mission: WaypointState = state.mission
        seconds = state.steps.to(self.dtype) / self.control_hz
        reached = mission.reached.to(self.dtype)
        return {
            "points per minute [1/min]": torch.where(state.steps > 0, 60.0 * reached / seconds, torch.nan),
            "points reached [1]": reached,
            "crash rate [1]": mission.crashed.to(self.dtype),
            "time to the last point [s]": torch.where(self.success(state), seconds, torch.nan),
        }

    def target_place(self, state: FlightState) -> Tensor:
        """The current point."""
        return state.mission.points.gather(1, self._current(state.mission)).squeeze(1)

    def with_target_moved(self, state: FlightState, by: Tensor) -> Moved:
        """The current point moves."""
        mission: WaypointState = state.mission
        points = mission.points.scatter_add(1, self._current(mission), by.unsqueeze(1))
        return Moved(state._replace(mission=mission._replace(course=points.flatten(1))))

    def _current(self, mission: WaypointState) -> Tensor:
        """Index (B, 1, 3) of the current point."""
        return mission.reached.clamp_max(self.options.points - 1)[:, None, None].expand(-1, 1, 3)

    def drawing(self, state: FlightState, row: int) -> Drawing:
        """Points as balls joined by lines: reached grey, current green, next orange, later blue."""
        points = state.mission.points[row].double().cpu().numpy()
        current = int(state.mission.reached[row])
        shapes = []
        for i, point in enumerate(points):
            rgb = (_CURRENT, _NEXT, _LATER)[min(i - current, 2)] if i >= current else _PASSED
            opacity = 0.2 if i < current else 0.6 if i == current else 0.4
            shapes.append(Shape("sphere", (self.options.radius,), point, (*rgb, opacity), glow=0.4))
            shapes.append(bar((*point[:2], 0.0), (*point[:2], point[2] - self.options.radius), 0.004, (*rgb, 0.5)))
            if i > current:
                shapes.append(bar(points[i - 1], point, 0.004, (*rgb, 0.4)))
        drone = state.body.position[row].double().cpu().numpy()
        # the drone is within a few metres of the points' mean, so the point halfway keeps both in the picture
        return Drawing(shapes=shapes, camera=Camera(0.5 * (drone + points.mean(axis=0)), 5.5, elevation=-20.0))


def next_point(place: Tensor, leg: Tensor) -> Tensor:
    """Place plus leg (B, 3); components of the leg that would leave the arena change their sign.

    A component of at most half the arena's width stays inside in one of both directions if the place is inside.
    """
    low, high = (torch.tensor(x, dtype=place.dtype, device=place.device) for x in (ARENA_LOW, ARENA_HIGH))
    there = place + leg
    return torch.where((there < low) | (there > high), place - leg, there)
