"""The whole state of a batch of aviaries, as tensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


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
    failed: Tensor
    """(B,) bool, whether the step that led here ended the episode because a drone flew away or tilted too far."""


def pack(state: AviaryState, action: Tensor) -> np.ndarray:
    """(B, width + n A) float64: what a worker needs to step B rows by actions (B, n, A)."""
    parts = (*state[:7], action.to(torch.float64))
    return torch.cat([part.reshape(len(action), -1) for part in parts], dim=1).numpy()
