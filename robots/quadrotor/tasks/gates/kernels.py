"""quadrotor-gates as Warp functions; task.py has the task.

A row of the course has 12 numbers for each gate, its centre and the three rows of its axes, and then half the inner
edge. A row of `values` has the times `began` and `lapped`, a row of `counts` the integers `first`, `passed` and
`ending`.
"""

# mypy: ignore-errors

from functools import cache
from typing import Any

import warp as wp

from robots.quadrotor.body import kernels
from robots.quadrotor.flight.kernels import MissionFunctions
from robots.quadrotor.tasks.gates.crossing import crossings

BAR = 0.1  # m, width of the ring around the opening
CLEARANCE = 0.05  # m, radius of the drone
LOST = 5.0  # m
FLYING, CRASHED, MISSED = 0, 1, 2
GATE = 12
"""Numbers of one gate."""


@cache
def gate_functions(real: Any) -> MissionFunctions:
    """Check the segment at every gate; the module's docstring of task.py has the reward."""
    f, crossing = kernels.functions(real), crossings(real)
    vec3, vec17, rotated_back = f.vec3, f.vec17, f.rotated_back
    each, rows, integers = wp.array(dtype=real), wp.array2d(dtype=real), wp.array2d(dtype=wp.int64)
    bar, clearance = real(BAR), real(CLEARANCE)

    @wp.func
    def at(course: rows, row: int, first: int) -> vec3:
        return vec3(course[row, first], course[row, first + 1], course[row, first + 2])

    @wp.func
    def half_of(course: rows, row: int) -> real:
        return course[row, course.shape[1] - 1]

    @wp.func
    def following(course: rows, counts: integers, row: int, ahead: int) -> int:
        """Index of the next gate, or of one `ahead` of it."""
        return (int(counts[row, 0] + counts[row, 1]) + ahead) % (course.shape[1] // GATE)

    @wp.func
    def in_gate(place: vec3, course: rows, row: int, gate: int) -> vec3:
        """Place in the frame of a gate [m]."""
        first = GATE * gate
        offset = place - at(course, row, first)
        return vec3(
            wp.dot(offset, at(course, row, first + 3)),
            wp.dot(offset, at(course, row, first + 6)),
            wp.dot(offset, at(course, row, first + 9)),
        )

    @wp.func
    def strikes(start: vec3, end: vec3, course: rows, row: int) -> int:
        """How many frames the segment strikes."""
        total, half = wp.int32(0), half_of(course, row)
        for gate in range(course.shape[1] // GATE):
            _forward, _inside, struck, _share, _aside = crossing(
                in_gate(start, course, row, gate), in_gate(end, course, row, gate), half, bar, clearance
            )
            total += wp.where(struck, 1, 0)
        return total

    # an adjoint that Warp writes would go through every gate, to add zeros
    @wp.func_grad(strikes)
    def no_slope(start: vec3, end: vec3, course: rows, row: int, adj_ret: int):
        pass

    @wp.func
    def advance(
        before: vec17, after: vec17, grounded: wp.bool, row: int, key: wp.int64, steps: wp.int64, duration: real,
        numbers: each, course: rows, values: rows, counts: integers,
        new_values: rows, new_counts: integers, terms: rows,
    ) -> wp.bool:  # fmt: skip
        start, end = vec3(before[0], before[1], before[2]), vec3(after[0], after[1], after[2])
        gate, half, zero, one = following(course, counts, row, 0), half_of(course, row), real(0.0), real(1.0)
        middle = at(course, row, GATE * gate)
        forward, inside, struck, share, off_centre = crossing(
            in_gate(start, course, row, gate), in_gate(end, course, row, gate), half, bar, clearance
        )
        d_before, d_after = wp.length(middle - start), wp.length(middle - end)
        crashed = grounded or d_after > real(LOST) or strikes(start, end, course, row) > 0
        missed = forward and not inside and not struck and not crashed
        happened = wp.where(crashed, wp.int64(CRASHED), wp.where(missed, wp.int64(MISSED), wp.int64(FLYING)))
        ending = wp.where(counts[row, 2] == wp.int64(FLYING), happened, counts[row, 2])
        flying = ending == wp.int64(FLYING)
        passed = forward and inside and flying

        count, gates = counts[row, 1], wp.int64(course.shape[1] // GATE)
        time = (real(steps - wp.int64(1)) + share) * duration
        new_values[row, 0] = wp.where(passed and count == wp.int64(0), time, values[row, 0])
        new_values[row, 1] = wp.where(passed and count % gates == wp.int64(0), time, values[row, 1])
        new_counts[row, 0] = counts[row, 0]
        new_counts[row, 1] = count + wp.where(passed, wp.int64(1), wp.int64(0))
        new_counts[row, 2] = ending

        aside = off_centre / (half - clearance)
        terms[row, 0] = d_before - d_after
        terms[row, 1] = wp.where(passed, one, zero)
        terms[row, 2] = wp.where(passed, aside * aside, zero)
        terms[row, 3] = after[10] * after[10] + after[11] * after[11] + after[12] * after[12]
        terms[row, 4] = wp.where(flying, zero, one)
        return not flying

    @wp.func
    def write(seen: rows, row: int, first: int, corner: vec3):
        for k in range(3):
            seen[row, first + k] = corner[k]

    @wp.func
    def observe(pose: vec17, row: int, numbers: each, course: rows, values: rows, counts: integers, seen: rows):
        place, half = vec3(pose[0], pose[1], pose[2]), half_of(course, row)
        for ahead in range(2):
            first, entry = GATE * following(course, counts, row, ahead), 12 * ahead
            middle = rotated_back(pose, at(course, row, first) - place)
            left = half * rotated_back(pose, at(course, row, first + 6))
            up = half * rotated_back(pose, at(course, row, first + 9))
            write(seen, row, entry, middle + left + up)
            write(seen, row, entry + 3, middle - left + up)
            write(seen, row, entry + 6, middle - left - up)
            write(seen, row, entry + 9, middle + left - up)

    return MissionFunctions(advance, observe)
