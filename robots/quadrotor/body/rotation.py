"""Rotations in torch, component-first: (k, B) arrays, so that operations run over contiguous memory.

All operations act element by element, so a row gives the same bits in any batch, and none changes its input, so that
torch's autograd flows through them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_rows(quaternion: Tensor) -> Tensor:
    """Rotation matrices (3, 3, B), body to world, of component-first quaternions (4, B)."""
    w, x, y, z = quaternion
    double_w, double_x, double_y, double_z = quaternion + quaternion
    real = double_w * w - 1.0
    xy, xz, yz = double_x * y, double_x * z, double_y * z
    wx, wy, wz = double_w * x, double_w * y, double_w * z
    return torch.stack(
        (
            torch.stack((real + double_x * x, xy - wz, xz + wy)),
            torch.stack((xy + wz, real + double_y * y, yz - wx)),
            torch.stack((xz - wy, yz + wx, real + double_z * z)),
        )
    )


def to_body(rows: Tensor, vector: Tensor) -> Tensor:
    """World vector (3, B) in the body frame, R^T v, for rotation rows (3, 3, B)."""
    return rows[0] * vector[0] + rows[1] * vector[1] + rows[2] * vector[2]


def squared_norm(vector: Tensor) -> Tensor:
    """Squared length (B,) of component-first vectors (k, B)."""
    total = vector[0] * vector[0]
    for component in vector[1:]:
        total = total + component * component
    return total
