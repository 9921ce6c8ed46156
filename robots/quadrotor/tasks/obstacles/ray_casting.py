"""Ranges of rays and distances of segments to vertical columns, spheres and the ground.

All functions are analytic and act element by element, so a row gives the same bits in any batch. Arrays are
component-first: R rays and M obstacles in B rows are (3, R, B) and (3, M, B). A ray that starts inside an obstacle, or
on its surface with an inward direction, has range 0; a ray that hits nothing has infinite range.

With q from the obstacle's centre to the ray's origin, d its direction, c = |q|^2 - r^2, b = q.d and a = |d|^2, the
nearer root of a t^2 + 2 b t + c = 0 is t = c / (sqrt(b^2 - a c) - b). This form has no cancellation and no division by
a, which is zero for a ray along a column.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from robots.quadrotor.body import rotation


def to_columns(origin: Tensor, direction: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Ranges (R, B) to infinite vertical columns [m].

    Args:
        origin: (3, B) origin of the rays [m].
        direction: (3, R, B) unit vectors.
        centre: (2, M, B) x and y of the columns [m].
        radius: (M, B) radii of the columns [m].
    """
    return _nearest(origin[:2], direction[:2], centre, radius)


def to_spheres(origin: Tensor, direction: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Ranges (R, B) to spheres with centres (3, M, B) and radii (M, B) [m]; see to_columns."""
    return _nearest(origin, direction, centre, radius)


def to_ground(origin: Tensor, direction: Tensor) -> Tensor:
    """Ranges (R, B) to the plane z = 0 [m], 0 from below it; see to_columns."""
    height, down = origin[2], -direction[2]
    falling = down > 0.0
    reach = torch.where(falling, height / torch.where(falling, down, 1.0), math.inf)
    return torch.where(height > 0.0, reach, 0.0)


def closest_approach(start: Tensor, end: Tensor, centre: Tensor) -> Tensor:
    """Smallest distance (M, B) between points and a segment [m].

    Args:
        start: (k, B) start of the segment; k = 2 gives distances to vertical lines, k = 3 to points [m].
        end: (k, B) end of the segment [m].
        centre: (k, M, B) points [m].
    """
    along = (end - start).unsqueeze(1)
    to_centre = centre - start.unsqueeze(1)
    share = _dot(to_centre, along) / rotation.squared_norm(along).clamp_min(torch.finfo(along.dtype).tiny)
    return rotation.squared_norm(to_centre - share.clamp(0.0, 1.0) * along).sqrt()


def _nearest(origin: Tensor, direction: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Range (R, B) to the nearest of M circles (two components) or spheres (three)."""
    away = origin.unsqueeze(1) - centre
    c = rotation.squared_norm(away) - radius * radius
    b = _dot(away.unsqueeze(1), direction.unsqueeze(2))
    discriminant = b * b - rotation.squared_norm(direction).unsqueeze(1) * c
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
