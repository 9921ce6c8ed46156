"""Race courses: poses of gates on a closed lap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hgrpo_errors import HgrpoError, nearest


class GatePose(NamedTuple):
    """Position of a gate and direction of passing."""

    x: float
    y: float
    z: float
    """x, y and z are the centre of the opening in the world frame [m]."""
    heading: float
    """Heading of the direction of passing [deg]: 0 is along x, 90 along y."""
    climb: float = 0.0
    """Elevation of the direction of passing [deg]; the gate leans back by this angle."""


COURSES: dict[str, tuple[GatePose, ...]] = {
    # one turn to the left with a chicane and changes of height; 14.8 m between the centres
    "loop": (
        GatePose(0.0, -1.8, 1.2, 0.0),
        GatePose(2.2, -1.2, 1.6, 50.0),
        GatePose(2.4, 1.2, 1.2, 135.0),
        GatePose(0.6, 1.0, 2.0, 173.0),
        GatePose(-1.6, 1.8, 1.6, 205.0),
        GatePose(-2.4, -0.6, 1.2, 292.0),
    ),
    # one half to the right, the other to the left; the branches cross with 1.6 m between them
    "eight": (
        GatePose(0.0, 0.0, 1.0, 34.0),
        GatePose(2.4, 1.6, 1.4, 330.0),
        GatePose(2.4, -1.6, 2.0, 210.0),
        GatePose(0.0, 0.0, 2.6, 146.0),
        GatePose(-2.4, 1.6, 2.2, 210.0),
        GatePose(-2.4, -1.6, 1.5, 330.0),
    ),
}
"""Courses by name; the first gate follows the last."""


def course(name: str, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Centres (G, 3) [m], headings and climbs (G,) [rad] of a course.

    Args:
        name: Name of the course.
        dtype: Type of the tensors.
        device: Their device.

    Raises:
        HgrpoError: The name is unknown.
    """
    if name not in COURSES:
        raise HgrpoError(f"unknown course {name!r}; {nearest(name, tuple(COURSES))}")
    poses = torch.tensor(COURSES[name], dtype=dtype, device=device)
    return poses[:, :3], torch.deg2rad(poses[:, 3]), torch.deg2rad(poses[:, 4])


def axes(heading: Tensor, climb: Tensor) -> Tensor:
    """Axes (..., 3, 3) of gates for angles (...) [rad]; the rows are direction of passing, left and up."""
    cos_h, sin_h, cos_c, sin_c = torch.cos(heading), torch.sin(heading), torch.cos(climb), torch.sin(climb)
    normal = torch.stack((cos_c * cos_h, cos_c * sin_h, sin_c), dim=-1)
    left = torch.stack((-sin_h, cos_h, torch.zeros_like(heading)), dim=-1)
    up = torch.stack((-sin_c * cos_h, -sin_c * sin_h, cos_c), dim=-1)
    return torch.stack((normal, left, up), dim=-2)
