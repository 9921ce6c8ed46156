"""quadrotor-pursuit as Warp functions; pursuit.py has the task."""

# mypy: ignore-errors

import math
from functools import cache
from typing import Any

import warp as wp

from robots.kernels import noise
from robots.quadrotor.body import kernels
from robots.quadrotor.flight.kernels import MissionFunctions

PUSH, SPRING, DAMPING = 1.6, 0.8, 0.9  # m/s^2, 1/s^2, 1/s
VERTICAL = 0.25  # share of the push that acts along z
MAX_ACCELERATION = 4.0  # m/s^2
CORRELATION_TIME = 0.8  # s
BAND = 0.25  # m around the distance to keep
VIEW_COSINE = math.cos(math.radians(30.0))
TOO_NEAR, TOO_FAR = 0.2, 4.0  # m
SHARP = 0.15  # m, error at which the first term of the reward is halved
SPIN = 5.0  # rad/s, body rates at which it is halved
STREAM = 0x7A26  # separates this noise from gusts, which use the key itself
RECENT = 8  # number of past positions of the target, for pictures
RECENT_EVERY = 10  # steps

TARGET_AT, VELOCITY_AT, PUSH_AT, RECENT_AT, ERROR_AT = 0, 3, 6, 9, 9 + 3 * RECENT
COURSE, VALUES, COUNTS = 4, ERROR_AT + 1, 3
"""Entries of the state: home and agility; the values above; steps held, in the band and in view."""


def function_numbers(distance: float, duration: float) -> tuple[float, ...]:
    """Distance to keep, and the factors of n and of a uniform number in (-1/2, 1/2) in the next n."""
    keep = math.exp(-duration / CORRELATION_TIME)
    return distance, keep, math.sqrt(12.0 * (1.0 - keep * keep))


@cache
def pursuit_functions(real: Any) -> MissionFunctions:
    """Move the target and measure the errors; pursuit.py has the reward."""
    f, uniform, split = kernels.functions(real), noise.functions(real).uniform, noise.split
    vec3, vec17, rotated_back = f.vec3, f.vec17, f.rotated_back
    each, rows, integers = wp.array(dtype=real), wp.array2d(dtype=real), wp.array2d(dtype=wp.int64)
    half, one, stream, every = real(0.5), real(1.0), wp.int64(STREAM), wp.int64(RECENT_EVERY)
    strength, vertical, spring, damping = real(PUSH), real(VERTICAL), real(SPRING), real(DAMPING)
    limit, band, view, near, far = (real(x) for x in (MAX_ACCELERATION, BAND, VIEW_COSINE, TOO_NEAR, TOO_FAR))
    sharp, spin = real(SHARP**-2), real(SPIN**-2)

    @wp.func
    def vector(array: rows, row: int, first: int) -> vec3:
        return vec3(array[row, first], array[row, first + 1], array[row, first + 2])

    @wp.func
    def wanted(push: vec3, target: vec3, velocity: vec3, home: vec3, agility: real) -> vec3:
        """Acceleration of the target, limited to MAX_ACCELERATION."""
        drive = strength * agility * vec3(push[0], push[1], vertical * push[2])
        free = drive - spring * (target - home) - damping * velocity
        return free * (limit / wp.max(wp.length(free), limit))

    @wp.func
    def advance(
        before: vec17, after: vec17, grounded: wp.bool, row: int, key: wp.int64, steps: wp.int64, duration: real,
        numbers: each, course: rows, values: rows, counts: integers,
        new_values: rows, new_counts: integers, terms: rows,
    ) -> wp.bool:  # fmt: skip
        own = split(key, stream)
        white = vec3(uniform(own, steps, 0) - half, uniform(own, steps, 1) - half, uniform(own, steps, 2) - half)
        target, velocity = vector(values, row, TARGET_AT), vector(values, row, VELOCITY_AT)
        push = numbers[1] * vector(values, row, PUSH_AT) + numbers[2] * white
        acceleration = wanted(push, target, velocity, vector(course, row, 0), course[row, 3])
        moved = target + duration * velocity + (half * duration * duration) * acceleration
        faster = velocity + duration * acceleration

        away = moved - vec3(after[0], after[1], after[2])
        distance = wp.length(away)
        cosine = rotated_back(after, away)[0] / wp.max(distance, real(1e-6))
        error = wp.abs(distance - numbers[0])
        in_band, in_view = error <= band, cosine >= view
        lost = grounded or distance < near or distance > far
        held = wp.where(in_band and in_view and not lost, counts[row, 0] + wp.int64(1), wp.int64(0))

        shift = steps % every == wp.int64(0)
        for axis in range(3):
            new_values[row, TARGET_AT + axis] = moved[axis]
            new_values[row, VELOCITY_AT + axis] = faster[axis]
            new_values[row, PUSH_AT + axis] = push[axis]
            new_values[row, RECENT_AT + axis] = wp.where(shift, target[axis], values[row, RECENT_AT + axis])
            for i in range(1, RECENT):
                at = RECENT_AT + 3 * i + axis
                new_values[row, at] = wp.where(shift, values[row, at - 3], values[row, at])
        new_values[row, ERROR_AT] = values[row, ERROR_AT] + error
        new_counts[row, 0] = held
        new_counts[row, 1] = counts[row, 1] + wp.where(in_band, wp.int64(1), wp.int64(0))
        new_counts[row, 2] = counts[row, 2] + wp.where(in_view, wp.int64(1), wp.int64(0))

        facing, squared = half * (one + cosine), error * error
        rate_squared = after[10] * after[10] + after[11] * after[11] + after[12] * after[12]
        terms[row, 0] = facing * facing / ((one + sharp * squared) * (one + spin * rate_squared))
        terms[row, 1] = one / (one + squared)
        terms[row, 2] = facing
        return lost

    @wp.func
    def observe(pose: vec17, row: int, numbers: each, course: rows, values: rows, counts: integers, seen: rows):
        away = rotated_back(pose, vector(values, row, TARGET_AT) - vec3(pose[0], pose[1], pose[2]))
        faster = rotated_back(pose, vector(values, row, VELOCITY_AT) - vec3(pose[3], pose[4], pose[5]))
        for axis in range(3):
            seen[row, axis] = away[axis]
            seen[row, 3 + axis] = faster[axis]

    return MissionFunctions(advance, observe)
