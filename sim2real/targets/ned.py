"""From the frames of MAVLink to ours and back, in one place.

| | MAVLink | here |
|---|---|---|
| world | NED: x north, y east, z down | NWU: x north, y west, z up |
| body | FRD: x forward, y right, z down | FLU: x forward, y left, z up |

Both pairs differ by half a turn about x, D = diag(1, -1, -1), its own inverse. So a vector (x, y, z) in either world or
either body becomes (x, -y, -z), body rates included, and the rotation R from body to world becomes D R D, whose
quaternion is (w, x, -y, -z). A nose that points north has yaw 0 in both; yaw and yaw rate change their sign. Nothing
that a policy sees depends on which way x points, as long as it is level; north is the choice that keeps the formulas
this short.

The heading frame is the world turned about z, so that x points where the nose does, seen from above.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TURN = np.array([1.0, -1.0, -1.0])


def flip(vector: ArrayLike) -> NDArray[np.float64]:
    """(3,) vector of NED in NWU, of NWU in NED, of FRD in FLU, of FLU in FRD: (x, -y, -z)."""
    return np.asarray(vector, np.float64) * _TURN


def flip_quaternion(quaternion: ArrayLike) -> NDArray[np.float64]:
    """(4,) quaternion w, x, y, z of FRD to NED as one of FLU to NWU, or back: (w, x, -y, -z)."""
    return np.asarray(quaternion, np.float64) * np.array([1.0, 1.0, -1.0, -1.0])


def rotation(quaternion: ArrayLike) -> NDArray[np.float64]:
    """(3, 3) rotation matrix of a quaternion w, x, y, z, which need not be a unit one.

    Not finite for one that is zero or not finite itself.
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
    """(3,) world vector of one in the heading frame of a rotation matrix, body to world, z up.

    A nose that points straight up or down counts as along world x, as in training.
    """
    x, y, z = np.asarray(vector, np.float64)
    cosine, sine = matrix[0, 0], matrix[1, 0]
    length = float(np.hypot(cosine, sine))
    cosine, sine = (cosine / length, sine / length) if length > 1e-6 else (1.0, 0.0)
    return np.array([cosine * x - sine * y, sine * x + cosine * y, z])
