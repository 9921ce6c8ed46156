"""quadrotor-waypoints as Warp functions; waypoints.py has the task.

A row of the course has the points, a row of `counts` the integers `reached` and `crashed`. The only entry of `numbers`
is the squared radius.
"""

# mypy: ignore-errors

from functools import cache
from typing import Any

import warp as wp

from robots.quadrotor.body import kernels
from robots.quadrotor.flight.kernels import MissionFunctions

LOST = 4.0  # m


@cache
def nearest_squares(real: Any) -> Any:
    """Warp function of the smallest squared distance of a segment from one vec3 to another to the origin."""
    vec3 = kernels.functions(real).vec3

    @wp.func
    def nearest_squared(start: vec3, end: vec3) -> real:
        way = end - start
        share = wp.clamp(-wp.dot(start, way) / wp.max(wp.dot(way, way), real(1e-12)), real(0.0), real(1.0))
        nearest = start + share * way
        return wp.dot(nearest, nearest)

    return nearest_squared


@cache
def waypoint_functions(real: Any) -> MissionFunctions:
    """Count the point if the segment comes near it; the module's docstring of waypoints.py has the reward."""
    f, nearest_squared = kernels.functions(real), nearest_squares(real)
    vec3, vec17, rotated_back = f.vec3, f.vec17, f.rotated_back
    each, rows, integers = wp.array(dtype=real), wp.array2d(dtype=real), wp.array2d(dtype=wp.int64)

    @wp.func
    def point_of(course: rows, counts: integers, row: int, ahead: int) -> vec3:
        """Current point, or one `ahead` of it, at most the last."""
        first = 3 * wp.min(int(counts[row, 0]) + ahead, course.shape[1] // 3 - 1)
        return vec3(course[row, first], course[row, first + 1], course[row, first + 2])

    @wp.func
    def advance(
        before: vec17, after: vec17, grounded: wp.bool, row: int, key: wp.int64, steps: wp.int64, duration: real,
        numbers: each, course: rows, values: rows, counts: integers,
        new_values: rows, new_counts: integers, terms: rows,
    ) -> wp.bool:  # fmt: skip
        point, zero, one = point_of(course, counts, row, 0), real(0.0), real(1.0)
        start = point - vec3(before[0], before[1], before[2])
        end = point - vec3(after[0], after[1], after[2])
        d_before, d_after = wp.length(start), wp.length(end)
        count, points = counts[row, 0], wp.int64(course.shape[1] // 3)
        crashed = counts[row, 1] != wp.int64(0) or grounded or d_after > real(LOST)
        reached = nearest_squared(start, end) <= numbers[0] and not crashed and count < points
        total = count + wp.where(reached, wp.int64(1), wp.int64(0))
        new_counts[row, 0] = total
        new_counts[row, 1] = wp.where(crashed, wp.int64(1), wp.int64(0))
        terms[row, 0] = d_before - d_after
        terms[row, 1] = wp.where(reached, one, zero)
        terms[row, 2] = after[10] * after[10] + after[11] * after[11] + after[12] * after[12]
        terms[row, 3] = wp.where(crashed, one, zero)
        return crashed or total == points

    @wp.func
    def observe(pose: vec17, row: int, numbers: each, course: rows, values: rows, counts: integers, seen: rows):
        place = vec3(pose[0], pose[1], pose[2])
        for ahead in range(2):
            error = rotated_back(pose, point_of(course, counts, row, ahead) - place)
            for k in range(3):
                seen[row, 3 * ahead + k] = error[k]

    return MissionFunctions(advance, observe)
