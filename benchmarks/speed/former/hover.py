"""Former mission of quadrotor-hover; robots/quadrotor/tasks/hover.py describes the task."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.speed.former.body import Pose, squared_norm
from benchmarks.speed.former.mission import Mission, StepContext, TaskResult

_TARGET = (0.0, 0.0, 2.0)  # m, world
_FLY_AWAY = 3.0  # m
_SUCCESS_RADIUS = 0.10  # m


class HoverProgress(NamedTuple):
    """Memory of the mission."""

    steps_inside: Tensor
    """(B,) int64 consecutive control steps within the success radius."""


class Hover(Mission):
    """Hover at a point."""

    state = HoverProgress
    weights = {"at_target": 1.0, "near_target": 0.5, "action_difference": 0.1}  # noqa: RUF012

    def __init__(self, device: torch.device) -> None:
        self.target = torch.tensor(_TARGET, device=device).unsqueeze(1)

    def observe(self, pose: Pose, mission: HoverProgress) -> Tensor:
        """Target minus position (3, B) in the body frame [m]."""
        return pose.in_body(self.target - pose.position)

    def advance(self, context: StepContext, mission: HoverProgress) -> TaskResult:
        """Count the steps within the success radius."""
        distance_squared = squared_norm(self.target - context.after.position.t())
        inside = distance_squared <= _SUCCESS_RADIUS**2
        terminated = context.grounded | (distance_squared > _FLY_AWAY**2)
        progress = HoverProgress((mission.steps_inside + 1).mul_(inside))
        rate_squared = squared_norm(context.after.angular_velocity.t())
        terms = {
            "at_target": ((1.0 + distance_squared / 0.05**2) * (1.0 + 0.25 * rate_squared)).reciprocal(),
            "near_target": (1.0 + distance_squared).reciprocal(),
        }
        return TaskResult(progress, terms, terminated)
