"""State of a batch of aviaries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class AviaryState(NamedTuple):
    """State of B rows of n drones.

    Fields are float64 except for actions. Quaternions are xyzw, vectors are in the world frame.
    """

    position: Tensor
    """(B, n, 3) [m]."""
    quaternion: Tensor
    """(B, n, 4) body to world."""
    velocity: Tensor
    """(B, n, 3) [m/s]."""
    angular_velocity: Tensor
    """(B, n, 3) [rad/s]."""
    link_quaternion: Tensor
    """(B, n, 4) attitude of the physics step before, by which PyBullet turns the next thrust."""
    controller: Tensor
    """(B, n, 16) memory of each drone's PID controller; zero for action types without a controller."""
    rpy: Tensor
    """(B, n, 3) roll, pitch, yaw of `quaternion` [rad]."""
    rpm: Tensor
    """(B, n, 4) rotor speeds of the previous step [1/min]."""
    actions: Tensor
    """(B, K, n, A) float32 last K actions, oldest first; K = 0 if they are not observed."""
    failed: Tensor
    """(B,) bool, true where a drone was lost or tilted too far in the last step."""


def pack(state: AviaryState, action: Tensor) -> np.ndarray:
    """Rows (B, width + n A) float64 for a worker, from states and actions (B, n, A)."""
    parts = (*state[:7], action.to(torch.float64))
    return torch.cat([part.reshape(len(action), -1) for part in parts], dim=1).numpy()
