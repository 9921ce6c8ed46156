"""Random numbers for initial states, from a torch generator into float64 arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch


def uniform(generator: torch.Generator, scale: float, *shape: int) -> np.ndarray:
    """Uniform in [-scale, scale)."""
    unit = torch.rand(*shape, generator=generator, dtype=torch.float64)
    return np.asarray((scale * (2.0 * unit - 1.0)).numpy())


def normal(generator: torch.Generator, scale: float, *shape: int) -> np.ndarray:
    """Normal with mean 0 and standard deviation `scale`."""
    return np.asarray((scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).numpy())


def rejection(
    generator: torch.Generator, low: np.ndarray, high: np.ndarray, num: int, inside: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """(num, k) points uniform between `low` and `high` (k,), each drawn again until `inside(points)` (num,) bool holds
    for it."""
    points = np.empty((num, len(low)))
    open_rows = np.arange(num)
    while len(open_rows):
        unit = torch.rand(len(open_rows), len(low), generator=generator, dtype=torch.float64).numpy()
        points[open_rows] = low + (high - low) * unit
        open_rows = open_rows[~inside(points[open_rows])]
    return points
