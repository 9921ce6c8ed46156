"""quadrotor-obstacles as Warp functions; task.py has the task."""

# mypy: ignore-errors

import math
from functools import cache
from typing import Any

import warp as wp

from robots.kernels.define import kernel
from robots.quadrotor.body import kernels
from robots.quadrotor.flight.kernels import MissionFunctions
from robots.quadrotor.tasks.obstacles import ray_casting
from robots.quadrotor.tasks.obstacles.forest import FOREST

REACH = 4.0  # m, largest range of a ray
NEAREST = 0.2  # m, smallest range of a ray
GOAL_RADIUS = 0.3  # m
GOAL_SEEN = 2.0  # m
CEILING = 3.2  # m
ARENA = ((-2.0, 10.0), (-5.0, 5.0))  # m, along x and y
PAID_SPEED = 2.0  # m/s towards the goal
NEAR = 0.3  # m, gap below which there is a penalty
PAID_SPIN = 25.0  # rad^2/s^2, squared body rates above which turning costs no more

RAYS = (
    *((30.0 * i, 0.0) for i in range(12)),
    *((30.0 * i + 10.0, 15.0) for i in range(12)),
    *((30.0 * i + 20.0, -15.0) for i in range(12)),
    (0.0, -90.0),
)
"""Azimuth to the left of the heading and elevation of each ray [deg]."""

COURSE, VALUES, COUNTS = FOREST + 4, 2, 2
"""Entries of the state: forest, goal and straight distance; path and gap; reached and collided."""


def function_numbers(radius: float) -> tuple[float, ...]:
    """Radius of the drone [m], then the unit vector of each ray at heading 0."""
    angles = ((math.radians(azimuth), math.radians(elevation)) for azimuth, elevation in RAYS)
    return (
        radius,
        *(x for a, e in angles for x in (math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e))),
    )


@cache
def heading_of(real: Any) -> Any:
    """Warp function of the cosine and sine of a pose's heading; heading 0 if body x is vertical."""
    vec2, vec17, one, two = ray_casting.functions(real, len(RAYS)).vec2, kernels.functions(real).vec17, real(1), real(2)

    @wp.func
    def heading(pose: vec17) -> vec2:
        x = two * (pose[6] * pose[6] + pose[7] * pose[7]) - one
        y = two * (pose[7] * pose[8] + pose[6] * pose[9])
        squared = x * x + y * y
        defined = squared > real(1e-12)
        # numbers that are not used must have a finite slope, or the result's is NaN
        level = wp.sqrt(wp.where(defined, squared, one))
        return vec2(wp.where(defined, x / level, one), wp.where(defined, y / level, real(0.0)))

    return heading


@cache
def obstacle_functions(real: Any) -> MissionFunctions:
    """Check the segment of a step for hits and the goal; task.py has the reward."""
    f, cast, heading = kernels.functions(real), ray_casting.functions(real, len(RAYS)), heading_of(real)
    vec3, vec17, rotated_back = f.vec3, f.vec17, f.rotated_back
    clearance, first_met, direction_of, ray_range = cast.clearance, cast.first_met, cast.direction_of, cast.ray_range
    each, rows, integers = wp.array(dtype=real), wp.array2d(dtype=real), wp.array2d(dtype=wp.int64)
    zero, one = real(0.0), real(1.0)
    (x_low, x_high), (y_low, y_high) = ((real(bound) for bound in bounds) for bounds in ARENA)
    ceiling, goal_radius, goal_seen, reach = real(CEILING), real(GOAL_RADIUS), real(GOAL_SEEN), real(REACH)
    nearest, near, paid_speed, paid_spin = real(NEAREST), real(NEAR), real(PAID_SPEED), real(PAID_SPIN)

    @wp.func
    def place_of(pose: vec17) -> vec3:
        return vec3(pose[0], pose[1], pose[2])

    @wp.func
    def goal_of(course: rows, row: int) -> vec3:
        return vec3(course[row, FOREST], course[row, FOREST + 1], course[row, FOREST + 2])

    @wp.func
    def advance(
        before: vec17, after: vec17, grounded: wp.bool, row: int, key: wp.int64, steps: wp.int64, duration: real,
        numbers: each, course: rows, values: rows, counts: integers,
        new_values: rows, new_counts: integers, terms: rows,
    ) -> wp.bool:  # fmt: skip
        start, end, goal = place_of(before), place_of(after), goal_of(course, row)
        gap = clearance(course, row, start, end) - numbers[0]
        collided = grounded or gap <= zero
        beside = end[0] < x_low or end[0] > x_high or end[1] < y_low or end[1] > y_high
        crashed = collided or beside or end[2] > ceiling - numbers[0]
        away = wp.length(goal - end)
        reached = away <= goal_radius and not crashed
        new_values[row, 0] = values[row, 0] + wp.length(end - start)
        new_values[row, 1] = gap
        new_counts[row, 0] = wp.where(reached, wp.int64(1), wp.int64(0))
        new_counts[row, 1] = wp.where(collided, wp.int64(1), wp.int64(0))
        closeness = wp.clamp(one - gap / near, zero, one)
        spin = after[10] * after[10] + after[11] * after[11] + after[12] * after[12]
        # a NaN stays a NaN here; wp.min would hide it
        gain, most = wp.length(goal - start) - away, paid_speed * duration
        terms[row, 0] = wp.where(gain > most, most, gain)
        terms[row, 1] = wp.where(reached, one, zero)
        terms[row, 2] = wp.where(crashed, one, zero)
        terms[row, 3] = closeness * closeness
        terms[row, 4] = wp.where(spin > paid_spin, paid_spin, spin)
        terms[row, 5] = one
        return crashed or reached

    @wp.func
    def observe(pose: vec17, row: int, numbers: each, course: rows, values: rows, counts: integers, seen: rows):
        place = place_of(pose)
        away = rotated_back(pose, goal_of(course, row) - place)
        shorten = wp.min(one, goal_seen / wp.max(wp.length(away), real(1e-6)))
        for i in range(3):
            seen[row, i] = away[i] * shorten
        turn = heading(pose)
        met = first_met(course, row, place, turn, numbers, 1, reach)
        # no number is carried from ray to ray, so that the adjoint of this loop is right
        for ray in range(wp.static(len(RAYS))):
            direction = direction_of(turn, numbers, 1 + 3 * ray)
            far = ray_range(course, row, met[ray], place, direction, reach)
            seen[row, 3 + ray] = one / wp.max(far, nearest)

    return MissionFunctions(advance, observe)


@cache
def ray_ends(real: Any, backward: bool) -> Any:
    """Kernel of the end in the world and the range of each ray (B, 4 * 37) of poses (B, 13 or more) in courses."""
    f, cast, heading, reach = (
        kernels.functions(real), ray_casting.functions(real, len(RAYS)), heading_of(real), real(REACH),
    )  # fmt: skip
    vec3, pose_of = f.vec3, f.pose_of
    first_met, direction_of, ray_range = cast.first_met, cast.direction_of, cast.ray_range

    @kernel(real, backward)
    def ends(
        poses: wp.array2d(dtype=real),
        course: wp.array2d(dtype=real),
        numbers: wp.array(dtype=real),
        out: wp.array2d(dtype=real),
    ):
        row = wp.tid()
        pose = pose_of(poses, row)
        place, turn = vec3(pose[0], pose[1], pose[2]), heading(pose)
        met = first_met(course, row, place, turn, numbers, 1, reach)
        for ray in range(wp.static(len(RAYS))):
            direction = direction_of(turn, numbers, 1 + 3 * ray)
            far = ray_range(course, row, met[ray], place, direction, reach)
            for i in range(3):
                out[row, 4 * ray + i] = place[i] + far * direction[i]
            out[row, 4 * ray + 3] = far

    return ends
