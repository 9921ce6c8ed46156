"""quadrotor-track as Warp functions; task.py has the task and trajectories.py the equations of the spline."""

# mypy: ignore-errors

from functools import cache
from typing import Any

import warp as wp

from robots.quadrotor.body import kernels
from robots.quadrotor.flight.kernels import MissionFunctions
from robots.quadrotor.flight.raptor_kernels import raptor_writer
from robots.quadrotor.tasks.track.trajectories import KNOTS

CONTROL_HZ = 100.0
AHEAD = (0.0, 0.1, 0.2, 0.4, 0.6)  # s from now
FLY_AWAY = 2.0  # m
SETTLE_SECONDS = 2.0
SHARP = 0.1  # m, error at which the first term of the reward is halved
SPIN = 5.0  # rad/s, body rates at which it is halved

RATE, START, SPEED = 3 * KNOTS, 3 * KNOTS + 1, 3 * KNOTS + 2
COURSE, VALUES, COUNTS = 3 * KNOTS + 3, 1, 3
"""Entries of the state: control points, rate, start and speed; squared error; steps, counted steps and crash."""


@cache
def knot_of(real: Any) -> Any:
    """Warp function of a control point of the course, counted around the lap."""
    rows, vec3 = wp.array2d(dtype=real), kernels.functions(real).vec3

    @wp.func
    def point_of(course: rows, row: int, knot: int) -> vec3:
        first = 3 * ((knot % KNOTS + KNOTS) % KNOTS)
        return vec3(course[row, first], course[row, first + 1], course[row, first + 2])

    return point_of


@cache
def reference_of(real: Any) -> Any:
    """Warp function of the position on a trajectory of the course at a time [s], as trajectories.evaluate."""
    rows, vec3, point_of = wp.array2d(dtype=real), kernels.functions(real).vec3, knot_of(real)
    one, three, four, six = real(1.0), real(3.0), real(4.0), real(6.0)

    @wp.func
    def reference(course: rows, row: int, time: real) -> vec3:
        u = (course[row, START] + course[row, RATE] * time) * real(KNOTS)
        whole = wp.floor(u)
        f, knot = u - whole, int(whole)
        g, square = one - f, f * f
        cube = square * f
        return (
            (g * g * g / six) * point_of(course, row, knot - 1)
            + ((three * cube - six * square + four) / six) * point_of(course, row, knot)
            + ((three * (square + f - cube) + one) / six) * point_of(course, row, knot + 1)
            + (cube / six) * point_of(course, row, knot + 2)
        )

    return reference


@cache
def reference_velocity_of(real: Any) -> Any:
    """Warp function of the velocity along a trajectory [m/s], the derivative of reference_of."""
    rows, vec3, point_of = wp.array2d(dtype=real), kernels.functions(real).vec3, knot_of(real)
    one, half, two, knots = real(1.0), real(0.5), real(2.0), real(KNOTS)

    @wp.func
    def velocity(course: rows, row: int, time: real) -> vec3:
        u = (course[row, START] + course[row, RATE] * time) * knots
        whole = wp.floor(u)
        f, knot = u - whole, int(whole)
        g, square = one - f, (one + half) * f * f
        slope = (
            (-half * g * g) * point_of(course, row, knot - 1)
            + (square - two * f) * point_of(course, row, knot)
            + (half + f - square) * point_of(course, row, knot + 1)
            + (half * f * f) * point_of(course, row, knot + 2)
        )
        return (course[row, RATE] * knots) * slope

    return velocity


@cache
def track_functions(real: Any) -> MissionFunctions:
    """Move the reference and measure the error; task.py has the reward."""
    f, reference = kernels.functions(real), reference_of(real)
    vec3, vec17, rotated_back = f.vec3, f.vec17, f.rotated_back
    each, rows, integers = wp.array(dtype=real), wp.array2d(dtype=real), wp.array2d(dtype=wp.int64)
    zero, one, control_hz, away = real(0.0), real(1.0), real(CONTROL_HZ), real(FLY_AWAY**2)
    sharp, spin, settled = real(SHARP**-2), real(SPIN**-2), wp.int64(round(SETTLE_SECONDS * CONTROL_HZ))

    @wp.func
    def advance(
        before: vec17, after: vec17, grounded: wp.bool, row: int, key: wp.int64, steps: wp.int64, duration: real,
        numbers: each, course: rows, values: rows, counts: integers,
        new_values: rows, new_counts: integers, terms: rows,
    ) -> wp.bool:  # fmt: skip
        passed = counts[row, 0] + wp.int64(1)
        error = reference(course, row, real(passed) / control_hz) - vec3(after[0], after[1], after[2])
        squared = wp.dot(error, error)
        rate_squared = after[10] * after[10] + after[11] * after[11] + after[12] * after[12]
        counted, crashed = passed > settled, grounded or squared > away
        new_values[row, 0] = values[row, 0] + wp.where(counted, squared, zero)
        new_counts[row, 0] = passed
        new_counts[row, 1] = counts[row, 1] + wp.where(counted, wp.int64(1), wp.int64(0))
        new_counts[row, 2] = wp.where(crashed, wp.int64(1), wp.int64(0))
        terms[row, 0] = one / ((one + sharp * squared) * (one + spin * rate_squared))
        terms[row, 1] = one / (one + squared)
        return crashed

    @wp.func
    def observe(pose: vec17, row: int, numbers: each, course: rows, values: rows, counts: integers, seen: rows):
        now, place = real(counts[row, 0]) / control_hz, vec3(pose[0], pose[1], pose[2])
        for i in range(wp.static(len(AHEAD))):
            away = rotated_back(pose, reference(course, row, now + numbers[i]) - place)
            for axis in range(3):
                seen[row, 3 * i + axis] = away[axis]

    return MissionFunctions(advance, observe)


@cache
def raptor_track_functions(real: Any) -> MissionFunctions:
    """The same with the observation of RAPTOR, whose setpoint is the present reference and its velocity."""
    vec17, reference, velocity = kernels.functions(real).vec17, reference_of(real), reference_velocity_of(real)
    each, rows, integers = wp.array(dtype=real), wp.array2d(dtype=real), wp.array2d(dtype=wp.int64)
    control_hz, write_raptor = real(CONTROL_HZ), raptor_writer(real)

    @wp.func
    def observe(pose: vec17, row: int, numbers: each, course: rows, values: rows, counts: integers, seen: rows):
        now = real(counts[row, 0]) / control_hz
        write_raptor(pose, reference(course, row, now), velocity(course, row, now), row, seen)

    return MissionFunctions(track_functions(real).advance, observe)
