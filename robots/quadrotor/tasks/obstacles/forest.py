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


COLUMN_RADIUS, SPHERE_PLACE, SPHERE_RADIUS = 2 * COLUMNS, 3 * COLUMNS, 3 * COLUMNS + 3 * SPHERES
FOREST = SPHERE_RADIUS + SPHERES
"""First entries of each kind in `Forest.values`, which begin with the places of the columns, and their number."""


class Forest(NamedTuple):
    """Obstacles of B rows."""

    values: Tensor
    """(B, 68 or more) columns, their radii, spheres, their radii."""

    @classmethod
    def of(cls, columns: Tensor, column_radius: Tensor, spheres: Tensor, sphere_radius: Tensor) -> Forest:
        """Forest of its parts; shapes and units are those of the properties."""
        return cls(torch.cat((columns.flatten(1), column_radius, spheres.flatten(1), sphere_radius), dim=1))

    @property
    def columns(self) -> Tensor:
        """(B, 12, 2) x and y of the columns' axes [m]."""
        return self.values[:, :COLUMN_RADIUS].unflatten(1, (COLUMNS, 2))

    @property
    def column_radius(self) -> Tensor:
        """(B, 12) radii of the columns [m]."""
        return self.values[:, COLUMN_RADIUS:SPHERE_PLACE]

    @property
    def spheres(self) -> Tensor:
        """(B, 8, 3) centres of the spheres [m]."""
        return self.values[:, SPHERE_PLACE:SPHERE_RADIUS].unflatten(1, (SPHERES, 3))

    @property
    def sphere_radius(self) -> Tensor:
        """(B, 8) radii of the spheres [m]."""
        return self.values[:, SPHERE_RADIUS:FOREST]


def plant(draw: Draw, density: Tensor) -> Forest:
    """Draw forests with a share `density` (num, 1) of the columns and spheres; the others are far away."""
    device = draw.generator.device
    cells = _cells(draw.dtype, device)
    order = draw.uniform(ROWS * LANES).argsort(dim=1)
    places = cells[order] + draw.uniform(2 * ROWS * LANES, -JITTER, JITTER).unflatten(1, (-1, 2))
    radius = draw.uniform(ROWS * LANES, *RADIUS)
    columns, column_spheres = places.split((COLUMNS, SPHERES), dim=1)
    spheres = torch.cat((column_spheres, draw.uniform(SPHERES, *SPHERE_HEIGHT).unsqueeze(2)), dim=2)
    return Forest.of(_standing(columns, density), radius[:, :COLUMNS], _standing(spheres, density), radius[:, COLUMNS:])


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
