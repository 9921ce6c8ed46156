"""quadrotor-obstacles: reach a goal 8 m away through a forest, with 37 range rays.

The forest (forest.py) is drawn in every episode. Observation, before the entries of every quadrotor task:

| entries | quantity | unit |
|---|---|---|
| 0-2 | goal minus position in the body frame, limited to a length of 2 m | m |
| 3-39 | 1 / range along each ray to a column, a sphere or the ground; ranges from 0.2 to 4 m | 1/m |

Rays start at the drone's centre and turn with its heading but not with its tilt. There are three rings of twelve rays,
level, 15 degrees up and 15 degrees down, and one ray straight down. The rings are turned by 10 degrees relative to each
other, so that columns are hit every 10 degrees and spheres slightly above or below the drone are hit as well. Columns
reach the ceiling.

Reward per step, with the distance gained towards the goal and the gap to the nearest surface in metres:

    5 min(gained, 0.02) + 20 [goal] - 15 [crash] - 0.1 max(0, 1 - gap / 0.3)^2 - 0.002 min(|omega|^2, 25) + 0.05
    - 0.1 |a - a_previous|^2 / 4

Speed above 2 m/s has no reward. A crash never increases the return of a drone that keeps clear of obstacles, because
the cost of turning is at most the reward of flying.

An episode terminates within 0.3 m of the goal, on the floor, at an obstacle, at the ceiling of 3.2 m and outside the
arena. The drone is a ball that moves along a straight segment in a control step, so no hit between two steps is missed.
Success: the goal is reached.

`difficulty` is the share of obstacles and scales the initial speed and tilt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from hgrpo_fields import Range
from robots.drawing.shapes import Shape, bar
from robots.interventions import Moved
from robots.kernels.launch import Kernel, Output
from robots.quadrotor.body import rotation
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.draw import Draw
from robots.quadrotor.flight.kernel_mission import KernelMission
from robots.quadrotor.flight.mission import Drawing
from robots.quadrotor.flight.options import FlightOptions, Penalty
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.scene import Camera
from robots.quadrotor.tasks.obstacles import forest
from robots.quadrotor.tasks.obstacles.forest import FOREST, Forest
from robots.quadrotor.tasks.obstacles.kernels import (
    CEILING,
    COUNTS,
    GOAL_RADIUS,
    RAYS,
    REACH,
    VALUES,
    function_numbers,
    obstacle_functions,
    ray_ends,
)
from robots.quadrotor.tasks.obstacles.ray_casting import segment_clearance
from robots.simulator import Channel

START, GOAL = (0.0, 0.0, 1.5), (8.0, 0.0, 1.5)  # m, world; centres of their ranges
START_SPREAD, GOAL_SPREAD = (0.3, 1.5, 0.3), (0.3, 2.0, 0.5)  # m, half widths of their ranges per axis
START_SPEED, START_TILT, START_RATE = 0.5, 0.3, 0.5  # m/s per axis, rad, rad/s per axis

_BARK, _STONE, _RAY, _HIT = (
    (0.45, 0.36, 0.30, 1.0),
    (0.50, 0.42, 0.62, 1.0),
    (0.9, 0.2, 0.2, 0.18),
    (0.9, 0.1, 0.1, 0.8),
)


@dataclass(frozen=True)
class ObstacleOptions(FlightOptions):
    """Options of the task."""

    action_difference_penalty: Penalty = 0.1
    radius: Annotated[float, Range(above=0, most=0.2, unit="m")] = 0.1
    """Radius of the ball that collides in place of the drone [m]; gaps of 0.5 m stay passable."""


class ObstacleState(NamedTuple):
    """State of the mission: forest, goal and path so far."""

    course: Tensor
    """(B, 72) forest, goal and straight distance."""
    values: Tensor
    """(B, 2) path and gap."""
    counts: Tensor
    """(B, 2) int64 1 where the goal is reached, and 1 after a collision."""

    @classmethod
    def of(
        cls,
        forest: Forest,
        goal: Tensor,
        straight: Tensor,
        flown: Tensor,
        gap: Tensor,
        reached: Tensor,
        collided: Tensor,
    ) -> ObstacleState:
        """State of its parts; shapes and units are those of the properties."""
        return cls(
            torch.cat((forest.values, goal, straight.unsqueeze(1)), dim=1),
            torch.stack((flown, gap), dim=1),
            torch.stack((reached, collided), dim=1).to(torch.int64),
        )

    @property
    def forest(self) -> Forest:
        """The obstacles."""
        return Forest(self.course[:, :FOREST])

    @property
    def goal(self) -> Tensor:
        """(B, 3) position of the goal [m]."""
        return self.course[:, FOREST : FOREST + 3]

    @property
    def straight(self) -> Tensor:
        """(B,) distance from the start to the goal [m]."""
        return self.course[:, FOREST + 3]

    @property
    def flown(self) -> Tensor:
        """(B,) length of the path so far [m]."""
        return self.values[:, 0]

    @property
    def gap(self) -> Tensor:
        """(B,) smallest distance between the drone and a surface during the last step [m]."""
        return self.values[:, 1]

    @property
    def reached(self) -> Tensor:
        """(B,) bool, true where the goal is reached."""
        return self.counts[:, 0] != 0

    @property
    def collided(self) -> Tensor:
        """(B,) bool, true after a collision with an obstacle or the floor."""
        return self.counts[:, 1] != 0


class Obstacles(KernelMission):
    """Reach the goal without touching anything."""

    goal = f"the drone comes within {GOAL_RADIUS:g} m of the goal before it touches anything or leaves the arena"
    observation = (
        *(Channel(f"goal_{axis}", "m", "body") for axis in "xyz"),
        *(Channel(f"nearness_{azimuth:g}_deg_{elevation:+g}_deg_up", "1/m", "heading") for azimuth, elevation in RAYS),
    )
    weights = {"gained": 5.0, "reached": 20.0, "crashed": -15.0, "near": -0.1, "turning": -0.002, "flying": 0.05}  # noqa: RUF012
    episode_seconds = 10.0
    target_radius = GOAL_RADIUS
    values_size, counts_size = VALUES, COUNTS

    def __init__(
        self, options: FlightOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        assert isinstance(options, ObstacleOptions)
        self.radius = options.radius
        super().__init__(options, parameters, dtype, device)
        self._clearance = Kernel(segment_clearance, dtype, [Output()])
        self._ray_ends = Kernel(ray_ends, dtype, [Output((4 * len(RAYS),))])

    functions = staticmethod(obstacle_functions)

    def function_numbers(self) -> tuple[float, ...]:
        """As KernelMission.function_numbers."""
        return function_numbers(self.radius)

    def begin(self, draw: Draw, difficulty: Tensor) -> tuple[QuadrotorState, ObstacleState]:
        """Random start and goal on both sides of a forest, with any heading."""
        start, goal = (
            self.constant(*middle).t() + draw.uniform(3, -1.0, 1.0) * self.constant(*spread).t()
            for middle, spread in ((START, START_SPREAD), (GOAL, GOAL_SPREAD))
        )
        planted = forest.plant(draw, difficulty)
        speed, rate = START_SPEED * difficulty, START_RATE * difficulty
        attitude = draw.attitude(START_TILT * difficulty)
        body = self.body(start, draw.uniform(3, -speed, speed), attitude, draw.uniform(3, -rate, rate))
        straight = rotation.squared_norm((goal - start).t()).sqrt()
        gap = self._clearance(start, start, planted.values)[0] - self.radius
        no = torch.zeros(draw.num, dtype=torch.bool, device=self.device)
        return body, ObstacleState.of(planted, goal, straight, torch.zeros_like(straight), gap, no, no)

    def success(self, state: FlightState) -> Tensor:
        """(B,) bool, true where the last step reached the goal."""
        reached: Tensor = state.mission.reached
        return reached

    def metrics(self, state: FlightState) -> dict[str, Tensor]:
        """Collision, and relative path length and time of episodes that reached the goal."""
        mission: ObstacleState = state.mission
        seconds = state.steps.to(self.dtype) / self.control_hz
        return {
            "collision rate [1]": mission.collided.to(self.dtype),
            "path length over straight line [1]": torch.where(
                mission.reached, mission.flown / mission.straight, math.nan
            ),
            "time to the goal [s]": torch.where(mission.reached, seconds, math.nan),
        }

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Distance to the goal, gap to the nearest surface (at most 4 m) and speed."""
        away = rotation.squared_norm((state.mission.goal - state.body.position).t()).sqrt()
        speed = rotation.squared_norm(state.body.velocity.t()).sqrt()
        return {
            "distance to the goal [m]": away.unsqueeze(1),
            "gap [m]": state.mission.gap.clamp_max(REACH).unsqueeze(1),
            "speed [m/s]": speed.unsqueeze(1),
        }

    def target_place(self, state: FlightState) -> Tensor:
        """The goal."""
        goal: Tensor = state.mission.goal
        return goal

    def with_target_moved(self, state: FlightState, by: Tensor) -> Moved:
        """The goal moves; the straight distance stays that of the start."""
        course = state.mission.course.clone()
        course[:, FOREST : FOREST + 3] += by
        return Moved(state._replace(mission=state.mission._replace(course=course)))

    def drawing(self, state: FlightState, row: int) -> Drawing:
        """The forest, and every ray with a hit."""
        only = slice(row, row + 1)
        planted = Forest(state.mission.forest.values[only])
        shapes: list[Shape] = []
        for (x, y), r in zip(planted.columns[0].tolist(), planted.column_radius[0].tolist(), strict=True):
            if x < forest.PARKED:
                shapes.append(Shape("cylinder", (r, 0.5 * CEILING), (x, y, 0.5 * CEILING), _BARK))
        for place, r in zip(planted.spheres[0].tolist(), planted.sphere_radius[0].tolist(), strict=True):
            if place[0] < forest.PARKED:
                shapes.append(Shape("sphere", (r,), place, _STONE))
        shapes += self._drawn_rays(state.body.values[only], state.mission.course[only])
        centre = (4.0, 0.0, 1.0)
        return Drawing(state.mission.goal[row].tolist(), shapes, Camera(centre, 10.5, azimuth=60.0, elevation=-35.0))

    def _drawn_rays(self, body: Tensor, course: Tensor) -> list[Shape]:
        """Lines from one drone to the hits of its rays, with a dot at each hit."""
        rays = self._ray_ends(body, course, shared=(self.numbers,))[0].reshape(-1, 4).tolist()
        origin, shapes = body[0, :3].tolist(), []
        for *end, far in rays:
            if 1e-3 < far < REACH:
                shapes += [bar(origin, end, 0.006, _RAY), Shape("sphere", (0.025,), end, _HIT, glow=0.5)]
        return shapes
