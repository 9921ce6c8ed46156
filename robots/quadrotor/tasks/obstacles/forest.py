"""Random forest of columns and floating spheres between start and goal, with passable gaps.

Obstacles are in a staggered grid of ROWS x LANES cells, at most one per cell, displaced from the centre of the cell by
up to JITTER along x and y. Two neighbours are at least CELL - 2 JITTER apart along one of the axes. The gap between
their surfaces is therefore at least CELL - 2 JITTER - 2 RADIUS[1] = 0.5 m, without rejection.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from robots.quadrotor.draw import Draw
from robots.quadrotor.tasks.obstacles import ray_casting

COLUMNS, SPHERES = 12, 8
ROWS, LANES = 4, 5
CELL = 1.6  # m
STAGGER = 0.4  # m, displacement of rows along y, to alternate sides
JITTER = 0.25  # m
RADIUS = (0.15, 0.3)  # m
SPHERE_HEIGHT = (0.8, 2.2)  # m, of the centre
PARKED = 1000.0  # m, x and y of obstacles that a lower density leaves out

_ROW_X = tuple(CELL * (row + 1) for row in range(ROWS))
NEAR_EDGE, FAR_EDGE = _ROW_X[0] - JITTER - RADIUS[1], _ROW_X[-1] + JITTER + RADIUS[1]
"""Range of x with obstacles [m]."""


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


def plant(draw: Draw, density: Tensor) -> Forest:
    """Draw forests with a share `density` (num, 1) of the columns and spheres; the others are far away."""
    device = draw.generator.device
    cells = _cells(draw.dtype, device)
    order = draw.uniform(ROWS * LANES).argsort(dim=1)
    places = cells[order] + draw.uniform(2 * ROWS * LANES, -JITTER, JITTER).unflatten(1, (-1, 2))
    radius = draw.uniform(ROWS * LANES, *RADIUS)
    columns, column_spheres = places.split((COLUMNS, SPHERES), dim=1)
    spheres = torch.cat((column_spheres, draw.uniform(SPHERES, *SPHERE_HEIGHT).unsqueeze(2)), dim=2)
    return Forest(
        _standing(columns, density), radius[:, :COLUMNS], _standing(spheres, density), radius[:, COLUMNS:].contiguous()
    )


def _cells(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Centres (ROWS * LANES, 2) of the cells [m]."""
    x = torch.tensor(_ROW_X, dtype=dtype, device=device)
    lane = CELL * (torch.arange(LANES, dtype=dtype, device=device) - 0.5 * (LANES - 1))
    side = torch.tensor([-STAGGER, STAGGER] * (ROWS // 2), dtype=dtype, device=device)
    return torch.stack((x.unsqueeze(1).expand(-1, LANES), lane + side.unsqueeze(1)), dim=2).flatten(0, 1)


def _standing(places: Tensor, density: Tensor) -> Tensor:
    """The first round(density * M) of M places (B, M, k), in random order; the rest PARKED."""
    count = places.shape[1]
    stands = torch.arange(count, device=places.device) < (density * count).round()
    return torch.where(stands.unsqueeze(2), places, PARKED)


def ranges(forest: Forest, origin: Tensor, direction: Tensor, reach: float) -> Tensor:
    """Ranges (R, B) of rays to obstacles and ground [m].

    Args:
        forest: Obstacles of B rows.
        origin: (3, B) origin of the rays [m].
        direction: (3, R, B) unit vectors.
        reach: Largest range [m].
    """
    columns = ray_casting.to_columns(origin, direction, forest.columns.permute(2, 1, 0), forest.column_radius.t())
    spheres = ray_casting.to_spheres(origin, direction, forest.spheres.permute(2, 1, 0), forest.sphere_radius.t())
    ground = ray_casting.to_ground(origin, direction)
    return torch.minimum(torch.minimum(columns, spheres), ground).clamp_max(reach)


def clearance(forest: Forest, start: Tensor, end: Tensor) -> Tensor:
    """Smallest distance (B,) from a segment to a surface, negative inside [m].

    Args:
        forest: Obstacles of B rows.
        start: (3, B) start of the segment [m].
        end: (3, B) end of the segment [m].
    """
    columns = ray_casting.closest_approach(start[:2], end[:2], forest.columns.permute(2, 1, 0))
    spheres = ray_casting.closest_approach(start, end, forest.spheres.permute(2, 1, 0))
    nearest_column = (columns - forest.column_radius.t()).amin(dim=0)
    return torch.minimum(nearest_column, (spheres - forest.sphere_radius.t()).amin(dim=0))
