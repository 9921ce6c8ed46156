"""Race courses: gates of given poses on a closed lap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hgrpo_errors import HgrpoError, nearest


class GatePose(NamedTuple):
    """Where a gate stands and which way it is passed."""

    x: float
    y: float
    z: float
    """Middle of the opening, world frame [m]."""
    heading: float
    """Of the direction of passing, 0 along x, 90 along y [deg]."""
    climb: float = 0.0
    """Of the direction of passing above the horizon [deg]; the gate leans back by as much."""


COURSES: dict[str, tuple[GatePose, ...]] = {
    # once around to the left, with a chicane and up and down; 14.8 m from middle to middle
    "loop": (
        GatePose(0.0, -1.8, 1.2, 0.0),
        GatePose(2.2, -1.2, 1.6, 50.0),
        GatePose(2.4, 1.2, 1.2, 135.0),
        GatePose(0.6, 1.0, 2.0, 173.0),
        GatePose(-1.6, 1.8, 1.6, 205.0),
        GatePose(-2.4, -0.6, 1.2, 292.0),
    ),
    # right round one half, left round the other; the two branches cross 1.6 m above each other
    "eight": (
        GatePose(0.0, 0.0, 1.0, 34.0),
        GatePose(2.4, 1.6, 1.4, 330.0),
        GatePose(2.4, -1.6, 2.0, 210.0),
        GatePose(0.0, 0.0, 2.6, 146.0),
        GatePose(-2.4, 1.6, 2.2, 210.0),
        GatePose(-2.4, -1.6, 1.5, 330.0),
    ),
}
"""Courses by name. The gate after the last is the first."""


def course(name: str, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Centres (G, 3) [m], headings and climbs (G,) [rad] of a course; raises ValueError for an unknown one."""
    if name not in COURSES:
        raise HgrpoError(f"unknown course {name!r}; {nearest(name, tuple(COURSES))}")
    poses = torch.tensor(COURSES[name], dtype=dtype, device=device)
    return poses[:, :3], torch.deg2rad(poses[:, 3]), torch.deg2rad(poses[:, 4])


def axes(heading: Tensor, climb: Tensor) -> Tensor:
    """(..., 3, 3) axes of gates in the world, one a row: direction of passing, left, up; angles (...) [rad]."""
    cos_h, sin_h, cos_c, sin_c = torch.cos(heading), torch.sin(heading), torch.cos(climb), torch.sin(climb)
    normal = torch.stack((cos_c * cos_h, cos_c * sin_h, sin_c), dim=-1)
    left = torch.stack((-sin_h, cos_h, torch.zeros_like(heading)), dim=-1)
    up = torch.stack((-sin_c * cos_h, -sin_c * sin_h, cos_c), dim=-1)
    return torch.stack((normal, left, up), dim=-2)
