"""Frames of MAVLink (NED, FRD) and of this project (NWU, FLU).

| | MAVLink | here |
|---|---|---|
| world | NED: x north, y east, z down | NWU: x north, y west, z up |
| body | FRD: x forward, y right, z down | FLU: x forward, y left, z up |

Both pairs differ by half a turn about x, D = diag(1, -1, -1), which is its own inverse. So a vector (x, y, z) of the
world or the body, body rates included, becomes (x, -y, -z). The rotation R from body to world becomes D R D, and its
quaternion (w, x, -y, -z). North is yaw 0 in both; yaw and yaw rate change their sign. A policy does not depend on the
direction of the level axis x; north gives the shortest formulas.

The heading frame is the world rotated about z, so that x is the direction of the nose, seen from above.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TURN = np.array([1.0, -1.0, -1.0])


def flip(vector: ArrayLike) -> NDArray[np.float64]:
    """Vector (3,) in the other frames: (x, -y, -z)."""
    return np.asarray(vector, np.float64) * _TURN


def flip_quaternion(quaternion: ArrayLike) -> NDArray[np.float64]:
    """Quaternion (4,) w, x, y, z in the other frames: (w, x, -y, -z)."""
    return np.asarray(quaternion, np.float64) * np.array([1.0, 1.0, -1.0, -1.0])


def rotation(quaternion: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrix (3, 3) of a quaternion (4,) w, x, y, z of any length.

    It is not finite for a quaternion that is zero or not finite.
    """
    q = np.asarray(quaternion, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        w, x, y, z = q / np.sqrt(q @ q)
    return np.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )


def from_heading(matrix: NDArray[np.float64], vector: ArrayLike) -> NDArray[np.float64]:
    """Vector (3,) from the heading frame to the world.

    Args:
        matrix: Rotation (3, 3) from body to world, z up. A nose that points straight up or down counts as along x of
            the world, as in training.
        vector: (3,) in the heading frame.
    """
    x, y, z = np.asarray(vector, np.float64)
    cosine, sine = matrix[0, 0], matrix[1, 0]
    length = float(np.hypot(cosine, sine))
    cosine, sine = (cosine / length, sine / length) if length > 1e-6 else (1.0, 0.0)
    return np.array([cosine * x - sine * y, sine * x + cosine * y, z])
