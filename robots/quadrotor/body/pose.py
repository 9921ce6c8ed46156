"""Pose and motion of a body, component-first."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState


class Pose(NamedTuple):
    """Pose and motion of B bodies, true or measured; component-first."""

    position: Tensor
    """(3, B) in the world frame [m]."""
    velocity: Tensor
    """(3, B) in the world frame [m/s]."""
    rows: Tensor
    """(3, 3, B) rotation matrix, body to world; rows[2] is the direction of world z in the body frame."""
    angular_velocity: Tensor
    """(3, B) in the body frame [rad/s]."""

    def in_body(self, vector: Tensor) -> Tensor:
        """World vector (3, B) in the body frame."""
        return dynamics.to_body(self.rows, vector)


def pose_of(body: QuadrotorState) -> Pose:
    """True pose and motion of a body."""
    rows = dynamics.rotation_rows(body.quaternion.t())
    return Pose(body.position.t(), body.velocity.t(), rows, body.angular_velocity.t())
