"""Former ranges of rays and distances of segments to vertical columns, spheres and the ground; component-first."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.speed.former.body import squared_norm


class Forest(NamedTuple):
    """Obstacles of B rows."""

    columns: Tensor
    """(B, 12, 2) x and y of the columns' axes [m]."""
    column_radius: Tensor
    """(B, 12) radii of the columns [m]."""
    spheres: Tensor
    """(B, 8, 3) centres of the spheres [m]."""
    sphere_radius: Tensor
    """(B, 8) radii of the spheres [m]."""


def ranges(forest: Forest, origin: Tensor, direction: Tensor, reach: float) -> Tensor:
    """Ranges (R, B) of rays to obstacles and ground [m].

    Args:
        forest: Obstacles of B rows.
        origin: (3, B) origin of the rays [m].
        direction: (3, R, B) unit vectors.
        reach: Largest range [m].
    """
    columns = _nearest(origin[:2], direction[:2], forest.columns.permute(2, 1, 0), forest.column_radius.t())
    spheres = _nearest(origin, direction, forest.spheres.permute(2, 1, 0), forest.sphere_radius.t())
    ground = _to_ground(origin, direction)
    return torch.minimum(torch.minimum(columns, spheres), ground).clamp_max(reach)


def clearance(forest: Forest, start: Tensor, end: Tensor) -> Tensor:
    """Smallest distance (B,) from a segment between points (3, B) to a surface, negative inside [m]."""
    columns = _closest_approach(start[:2], end[:2], forest.columns.permute(2, 1, 0))
    spheres = _closest_approach(start, end, forest.spheres.permute(2, 1, 0))
    nearest_column = (columns - forest.column_radius.t()).amin(dim=0)
    return torch.minimum(nearest_column, (spheres - forest.sphere_radius.t()).amin(dim=0))


def _to_ground(origin: Tensor, direction: Tensor) -> Tensor:
    """Ranges (R, B) to the plane z = 0 [m], 0 from below it."""
    height, down = origin[2], -direction[2]
    falling = down > 0.0
    reach = torch.where(falling, height / torch.where(falling, down, 1.0), math.inf)
    return torch.where(height > 0.0, reach, 0.0)


def _closest_approach(start: Tensor, end: Tensor, centre: Tensor) -> Tensor:
    """Smallest distance (M, B) between points (k, M, B) and a segment between points (k, B) [m]."""
    along = (end - start).unsqueeze(1)
    to_centre = centre - start.unsqueeze(1)
    share = _dot(to_centre, along) / squared_norm(along).clamp_min(torch.finfo(along.dtype).tiny)
    return squared_norm(to_centre - share.clamp(0.0, 1.0) * along).sqrt()


def _nearest(origin: Tensor, direction: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Range (R, B) to the nearest of M circles (two components) or spheres (three) [m]."""
    away = origin.unsqueeze(1) - centre
    c = squared_norm(away) - radius * radius
    b = _dot(away.unsqueeze(1), direction.unsqueeze(2))
    discriminant = b * b - squared_norm(direction).unsqueeze(1) * c
    meets = (discriminant >= 0.0) & (b < 0.0)
    root = torch.where(meets, discriminant, 1.0).sqrt()
    reach = torch.where(meets, c / torch.where(meets, root - b, 1.0), math.inf)
    return torch.where(c < 0.0, 0.0, reach).amin(dim=1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Dot product along the first dimension."""
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = total + x * y
    return total
