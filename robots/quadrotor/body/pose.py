"""Pose and motion of a body, component-first."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.rotation import rotation_rows, to_body


class Pose:
    """Pose and motion of B bodies, true or measured; the properties are component-first.

    Args:
        values: (B, 13) position, velocity, quaternion, angular velocity.
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values

    @property
    def position(self) -> Tensor:
        """(3, B) in the world frame [m]."""
        return self.values[:, 0:3].t()

    @property
    def velocity(self) -> Tensor:
        """(3, B) in the world frame [m/s]."""
        return self.values[:, 3:6].t()

    @cached_property
    def rows(self) -> Tensor:
        """(3, 3, B) rotation matrix, body to world; rows[2] is the direction of world z in the body frame."""
        return rotation_rows(self.values[:, 6:10].t())

    @property
    def angular_velocity(self) -> Tensor:
        """(3, B) in the body frame [rad/s]."""
        return self.values[:, 10:13].t()

    def in_body(self, vector: Tensor) -> Tensor:
        """World vector (3, B) in the body frame."""
        return to_body(self.rows, vector)


def pose_of(body: QuadrotorState) -> Pose:
    """True pose and motion of a body."""
    return Pose(body.values[:, :13])
