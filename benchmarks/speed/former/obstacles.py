"""Former mission of quadrotor-obstacles; robots/quadrotor/tasks/obstacles/task.py describes the task."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.speed.former.body import Pose, heading, squared_norm
from benchmarks.speed.former.mission import Mission, StepContext, TaskResult
from benchmarks.speed.former.ray_casting import Forest, clearance, ranges

_REACH = 4.0  # m, largest range of a ray
_NEAREST = 0.2  # m, smallest range of a ray
_GOAL_RADIUS = 0.3  # m
_GOAL_SEEN = 2.0  # m
_CEILING = 3.2  # m
_ARENA = ((-2.0, 10.0), (-5.0, 5.0))  # m, along x and y
_PAID_SPEED = 2.0  # m/s towards the goal
_NEAR = 0.3  # m, gap below which there is a penalty
_RADIUS = 0.1  # m, of the drone
_RAYS = (
    *((30.0 * i, 0.0) for i in range(12)),
    *((30.0 * i + 10.0, 15.0) for i in range(12)),
    *((30.0 * i + 20.0, -15.0) for i in range(12)),
    (0.0, -90.0),
)  # azimuth to the left of the heading and elevation [deg]


class ObstacleState(NamedTuple):
    """Memory of the mission: forest, goal and path so far."""

    forest: Forest
    goal: Tensor
    """(B, 3) position of the goal [m]."""
    straight: Tensor
    """(B,) distance from the start to the goal [m]."""
    flown: Tensor
    """(B,) length of the path so far [m]."""
    gap: Tensor
    """(B,) smallest distance to a surface during the last step [m]."""
    reached: Tensor
    """(B,) bool."""
    collided: Tensor
    """(B,) bool."""


class Obstacles(Mission):
    """Reach the goal without touching anything."""

    state = ObstacleState
    weights = {  # noqa: RUF012
        "gained": 5.0,
        "reached": 20.0,
        "crashed": -15.0,
        "near": -0.1,
        "turning": -0.002,
        "flying": 0.05,
        "action_difference": 0.1,
    }

    def __init__(self, device: torch.device) -> None:
        directions = [_unit_vector(*(math.radians(angle) for angle in ray)) for ray in _RAYS]
        self.rays = torch.tensor(directions, device=device).t().unsqueeze(2)

    def observe(self, pose: Pose, mission: ObstacleState) -> Tensor:
        """Goal in the body frame, limited in length, and inverse ranges of the rays (40, B)."""
        away = pose.in_body(mission.goal.t() - pose.position)
        shorten = (_GOAL_SEEN / squared_norm(away).sqrt().clamp_min(1e-6)).clamp_max(1.0)
        rays = ranges(mission.forest, pose.position, self._directions(pose), _REACH)
        return torch.cat((away * shorten, rays.clamp_min(_NEAREST).reciprocal()))

    def _directions(self, pose: Pose) -> Tensor:
        """Directions (3, R, B) of the rays in the world, turned with the heading."""
        cosine, sine = heading(pose.rows)
        ahead, left, up = self.rays
        return torch.stack((cosine * ahead - sine * left, sine * ahead + cosine * left, up.expand(-1, len(cosine))))

    def advance(self, context: StepContext, mission: ObstacleState) -> TaskResult:
        """Check the segment for hits and the goal."""
        goal, before, after = mission.goal.t(), context.before.position.t(), context.after.position.t()
        gap = clearance(mission.forest, before, after) - _RADIUS
        collided = (gap <= 0.0) | context.grounded
        crashed = collided | _left(after)
        away_before, away = (squared_norm(goal - place).sqrt() for place in (before, after))
        reached = (away <= _GOAL_RADIUS) & ~crashed
        path = mission.flown + squared_norm(after - before).sqrt()
        closeness = (1.0 - gap / _NEAR).clamp(0.0, 1.0)
        terms = {
            "gained": (away_before - away).clamp_max(_PAID_SPEED * context.duration),
            "reached": reached.to(torch.float32),
            "crashed": crashed.to(torch.float32),
            "near": closeness * closeness,
            "turning": squared_norm(context.after.angular_velocity.t()).clamp_max(25.0),
            "flying": torch.ones_like(gap),
        }
        new = mission._replace(flown=path, gap=gap, reached=reached, collided=collided)
        return TaskResult(new, terms, crashed | reached)


def _left(position: Tensor) -> Tensor:
    """(B,) bool, true where a position (3, B) is outside the arena."""
    x, y, z = position
    (x_low, x_high), (y_low, y_high) = _ARENA
    return (x < x_low) | (x > x_high) | (y < y_low) | (y > y_high) | (z > _CEILING - _RADIUS)


def _unit_vector(azimuth: float, elevation: float) -> tuple[float, float, float]:
    """Unit vector of an azimuth to the left of x and an elevation [rad]."""
    level = math.cos(elevation)
    return level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation)
