"""Rows of numbers that are sent to a worker process and back; without torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SHARED = 13 + 4  # position, quaternion, velocity, angular velocity; quaternion of the links
CONTROLLER = 16  # counter, last rpy, last position error, its integral, last rpy error, its integral

# outcomes of a step: ENDED at the target, FAILED for a drone that is lost or tilted too far
GOES_ON, ENDED, FAILED = 0.0, 1.0, 2.0


class WorkerRow(NamedTuple):
    """Layout of a row of float64 numbers: physics, then the action."""

    drones: int

    @property
    def width(self) -> int:
        """Number of physics entries per row: all that the next step reads."""
        return self.drones * (SHARED + CONTROLLER + 3)

    def unpack(self, rows: np.ndarray) -> list[np.ndarray]:
        """Views (..., n, k) of the first seven fields of an AviaryState in rows (..., width or more)."""
        views, start = [], 0
        for size in (3, 4, 3, 3, 4, CONTROLLER, 3):
            stop = start + self.drones * size
            views.append(rows[..., start:stop].reshape(*rows.shape[:-1], self.drones, size))
            start = stop
        return views
