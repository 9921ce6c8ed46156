"""The observation of RAPTOR as a Warp function; setpoint.py has its entries."""

# mypy: ignore-errors

from functools import cache
from typing import Any

import warp as wp

from robots.quadrotor.body import kernels

REACH = 0.5  # m
FAST = 1.0  # m/s


@cache
def raptor_writer(real: Any) -> Any:
    """Warp function that writes the entries before the previous action into a row of `seen`."""
    f = kernels.functions(real)
    vec3, vec17, clamped = f.vec3, f.vec17, f.clamped
    rows = wp.array2d(dtype=real)

    @wp.func
    def write_raptor(pose: vec17, place: vec3, velocity: vec3, row: int, seen: rows):
        one, two, reach, fast = real(1.0), real(2.0), real(REACH), real(FAST)
        w, x, y, z = pose[6], pose[7], pose[8], pose[9]
        for i in range(3):
            seen[row, i] = clamped(pose[i] - place[i], -reach, reach)
            seen[row, 12 + i] = clamped(pose[3 + i] - velocity[i], -fast, fast)
            seen[row, 15 + i] = pose[10 + i]
        seen[row, 3] = one - two * (y * y + z * z)
        seen[row, 4] = two * (x * y - w * z)
        seen[row, 5] = two * (x * z + w * y)
        seen[row, 6] = two * (x * y + w * z)
        seen[row, 7] = one - two * (x * x + z * z)
        seen[row, 8] = two * (y * z - w * x)
        seen[row, 9] = two * (x * z - w * y)
        seen[row, 10] = two * (y * z + w * x)
        seen[row, 11] = one - two * (x * x + y * y)

    return write_raptor
