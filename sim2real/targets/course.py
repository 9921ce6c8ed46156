"""Points to fly to, in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hgrpo_errors import HgrpoError


class Course:
    """Points (P, 3) in the world [m]; each but the last is left once the way flown comes within `radius` of it.

    The way between two positions counts as a straight segment, so that no speed jumps over a point; one point per
    position at most. Raises ValueError for numbers that are no points.
    """

    def __init__(self, points: Sequence[float] | ArrayLike, radius: float = 0.2) -> None:
        flat = np.asarray(points, np.float64).reshape(-1)
        if not flat.size or flat.size % 3 or not np.isfinite(flat).all():
            raise HgrpoError(f"a goal is three finite numbers x y z, several goals three each; given {flat.tolist()}")
        if not radius > 0.0:
            raise HgrpoError(f"radius must be above 0; given {radius}")
        self._points = flat.reshape(-1, 3)
        self._radius = radius
        self._index = 0
        self._last: NDArray[np.float64] | None = None

    def shift(self, offset: NDArray[np.float64]) -> None:
        """Move every point (3,) [m]."""
        self._points = self._points + offset

    @property
    def this(self) -> NDArray[np.float64]:
        """(3,) the point to reach."""
        return self._points[self._index]

    @property
    def next(self) -> NDArray[np.float64]:
        """(3,) the one after it; the last has itself."""
        return self._points[min(self._index + 1, len(self._points) - 1)]

    def pass_by(self, position: NDArray[np.float64]) -> None:
        """Take in a position (3,) [m]; one that is not finite is no part of the way."""
        if not np.isfinite(position).all():
            return
        start = position if self._last is None else self._last
        way, to_point = position - start, self.this - start
        length_squared = float(way @ way)
        share = float(np.clip(to_point @ way / length_squared, 0.0, 1.0)) if length_squared > 0.0 else 0.0
        self._last = position
        if np.linalg.norm(start + share * way - self.this) <= self._radius:
            self._index = min(self._index + 1, len(self._points) - 1)
