"""quadrotor-hover as Warp functions; hover.py has the task."""

# mypy: ignore-errors

from functools import cache
from typing import Any

import warp as wp

from robots.quadrotor.body import kernels
from robots.quadrotor.flight.kernels import MissionFunctions
from robots.quadrotor.flight.raptor_kernels import raptor_writer

TARGET = (0.0, 0.0, 2.0)  # m, world; high enough for a drone that starts on its side 1 m below
FLY_AWAY = 3.0  # m
SUCCESS_RADIUS = 0.10  # m
SHARP = 0.05  # m, distance at which the first term of the reward is halved


@cache
def hover_functions(real: Any) -> MissionFunctions:
    """Count the steps within the success radius; the module's docstring has the reward."""
    f = kernels.functions(real)
    vec3, vec17, rotated_back = f.vec3, f.vec17, f.rotated_back
    each, rows, integers = wp.array(dtype=real), wp.array2d(dtype=real), wp.array2d(dtype=wp.int64)
    x, y, z = (real(place) for place in TARGET)
    sharp, inside, away = real(SHARP**2), real(SUCCESS_RADIUS**2), real(FLY_AWAY**2)

    @wp.func
    def advance(
        before: vec17, after: vec17, grounded: wp.bool, row: int, key: wp.int64, steps: wp.int64, duration: real,
        numbers: each, course: rows, values: rows, counts: integers,
        new_values: rows, new_counts: integers, terms: rows,
    ) -> wp.bool:  # fmt: skip
        dx, dy, dz = x - after[0], y - after[1], z - after[2]
        squared = dx * dx + dy * dy + dz * dz
        rate_squared = after[10] * after[10] + after[11] * after[11] + after[12] * after[12]
        one = real(1.0)
        terms[row, 0] = one / ((one + squared / sharp) * (one + real(0.25) * rate_squared))
        terms[row, 1] = one / (one + squared)
        # a terminated row is never inside, because the target is 2 m above the floor
        new_counts[row, 0] = wp.where(squared <= inside, counts[row, 0] + wp.int64(1), wp.int64(0))
        return grounded or squared > away

    @wp.func
    def observe(pose: vec17, row: int, numbers: each, course: rows, values: rows, counts: integers, seen: rows):
        error = rotated_back(pose, vec3(x - pose[0], y - pose[1], z - pose[2]))
        for i in range(3):
            seen[row, i] = error[i]

    return MissionFunctions(advance, observe)


@cache
def raptor_hover_functions(real: Any) -> MissionFunctions:
    """The same with the observation of RAPTOR."""
    f, write_raptor = kernels.functions(real), raptor_writer(real)
    vec3, vec17 = f.vec3, f.vec17
    each, rows, integers = wp.array(dtype=real), wp.array2d(dtype=real), wp.array2d(dtype=wp.int64)
    x, y, z = (real(place) for place in TARGET)

    @wp.func
    def observe(pose: vec17, row: int, numbers: each, course: rows, values: rows, counts: integers, seen: rows):
        write_raptor(pose, vec3(x, y, z), vec3(), row, seen)

    return MissionFunctions(hover_functions(real).advance, observe)
