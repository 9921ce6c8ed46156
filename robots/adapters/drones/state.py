"""The whole state of a row, as tensors and as the numbers that travel to a worker process."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

SHARED = 13 + 4  # position, quaternion, velocity, angular velocity; quaternion of the links
CONTROLLER = 16  # counter, last rpy, last position error, its integral, last rpy error, its integral


class AviaryState(NamedTuple):
    """B rows of n drones; float64 but for the actions. Quaternions are xyzw, vectors in the world frame."""

    position: Tensor
    """(B, n, 3) [m]."""
    quaternion: Tensor
    """(B, n, 4) body to world."""
    velocity: Tensor
    """(B, n, 3) [m/s]."""
    angular_velocity: Tensor
    """(B, n, 3) [rad/s]."""
    link_quaternion: Tensor
    """(B, n, 4) attitude one physics step ago: PyBullet still turns the next thrust by it."""
    controller: Tensor
    """(B, n, 16) memory of each drone's PID controller; zero where the action type has none."""
    rpy: Tensor
    """(B, n, 3) roll, pitch, yaw of `quaternion` [rad]."""
    rpm: Tensor
    """(B, n, 4) rotor speeds of the previous step [1/min]."""
    actions: Tensor
    """(B, K, n, A) float32, the last K actions, oldest first; K = 0 where no observation shows them."""


class WorkerRow(NamedTuple):
    """Slices of a row of float64 numbers, as it goes to a worker (physics, then the action) and comes back."""

    drones: int

    @property
    def width(self) -> int:
        """Numbers of physics per row: everything that the next step reads."""
        return self.drones * (SHARED + CONTROLLER + 3)

    def pack(self, state: AviaryState, action: Tensor) -> np.ndarray:
        """(B, width + n A) float64."""
        parts = (*state[:7], action.to(torch.float64))
        return torch.cat([part.reshape(len(action), -1) for part in parts], dim=1).numpy()

    def unpack(self, rows: np.ndarray) -> list[np.ndarray]:
        """Views (..., n, k) of the seven physical fields in rows (..., width + anything)."""
        views, start = [], 0
        for size in (3, 4, 3, 3, 4, CONTROLLER, 3):
            stop = start + self.drones * size
            views.append(rows[..., start:stop].reshape(*rows.shape[:-1], self.drones, size))
            start = stop
        return views
