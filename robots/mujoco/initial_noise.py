"""Random numbers of initial states: float64 arrays from a torch generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch


def uniform(generator: torch.Generator, scale: float, *shape: int) -> np.ndarray:
    """Uniform random numbers of a shape in [-scale, scale)."""
    unit = torch.rand(*shape, generator=generator, dtype=torch.float64)
    return np.asarray((scale * (2.0 * unit - 1.0)).numpy())


def normal(generator: torch.Generator, scale: float, *shape: int) -> np.ndarray:
    """Normal random numbers of a shape with mean 0 and standard deviation `scale`."""
    return np.asarray((scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).numpy())


def rejection(
    generator: torch.Generator, low: np.ndarray, high: np.ndarray, num: int, inside: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Uniform random points in a region, by rejection.

    Args:
        generator: Source of the numbers.
        low: (k,) lower corner of a box around the region.
        high: (k,) upper corner.
        num: Number of points.
        inside: Returns (n,) bool, true for the points (n, k) in the region.

    Returns:
        (num, k) points.
    """
    points = np.empty((num, len(low)))
    open_rows = np.arange(num)
    while len(open_rows):
        unit = torch.rand(len(open_rows), len(low), generator=generator, dtype=torch.float64).numpy()
        points[open_rows] = low + (high - low) * unit
        open_rows = open_rows[~inside(points[open_rows])]
    return points
