"""The built-in dynamics behind the seam of foreign physics, so that what differs is the seam alone."""

from __future__ import annotations

import torch
from torch import Tensor

from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from support import rigid_body


class BuiltInPhysics:
    """A physics whose floor lies at `floor` [m]; it knows whether it was closed, and `opened` who was made."""

    opened: list[BuiltInPhysics] = []  # noqa: RUF012

    def __init__(self, parameters: QuadrotorParameters, duration: float, floor: float = 0.0) -> None:
        self.duration, self.floor, self.closed = duration, floor, False
        self.frame = dynamics.airframe(parameters, duration, torch.float32, torch.device("cpu"))
        BuiltInPhysics.opened.append(self)

    def step(self, body: QuadrotorState, motors: Tensor) -> tuple[QuadrotorState, Tensor]:
        moved = rigid_body.step(body, motors, self.frame, self.duration)
        return moved, moved.position[:, 2] <= self.floor

    def close(self) -> None:
        self.closed = True
