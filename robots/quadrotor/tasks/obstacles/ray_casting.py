"""Ranges of rays and clearance of segments to columns, spheres and the ground, as Warp functions.

All formulas are analytic. A ray that starts inside an obstacle, or on its surface with an inward direction, has range
0. Its slope is 0 inside.

With q from the obstacle's centre to the ray's origin, d its direction, c = |q|^2 - r^2, b = q.d and a = |d|^2, the
nearer root of a t^2 + 2 b t + c = 0 is t = c / (sqrt(b^2 - a c) - b). This form has no cancellation and no division by
a, which is zero for a ray along a column. For a column all vectors are level.

The nearest obstacle is found first, in functions without slopes. Only its distance is then computed with slopes. The
slope of a range grows without bound towards a grazing ray. At the grazing ray itself, where the root is 0, the slope is
that of c / -b, because the slope of the root is infinite there.
"""

# mypy: ignore-errors

from functools import cache
from types import SimpleNamespace
from typing import Any

import warp as wp

from robots.kernels.define import kernel
from robots.quadrotor.body import kernels
from robots.quadrotor.tasks.obstacles.forest import COLUMN_RADIUS, COLUMNS, SPHERE_PLACE, SPHERE_RADIUS, SPHERES


@cache
def functions(real: Any, count: int) -> SimpleNamespace:
    """Warp functions of `count` rays a row for wp.float32 or wp.float64.

    In them `forest` is an array (B, 68 or more) as `Forest.values`. The directions of the rays are the entries of the
    array `rays` from `first` on, and `turn` is the cosine and the sine of an angle about world z that is added.
    """
    vec3, each, rows = kernels.functions(real).vec3, wp.array(dtype=real), wp.array2d(dtype=real)
    vec2, indices, reals = (wp.types.vector(n, kind) for n, kind in ((2, real), (count, wp.int32), (count, real)))
    zero, one = real(0.0), real(1.0)

    @wp.func
    def to_centre(forest: rows, row: int, obstacle: int, place: vec3) -> vec3:
        """From a place to the axis of a column (the first 12 obstacles) or to the centre of a sphere."""
        sphere = obstacle - COLUMNS
        first = wp.where(sphere < 0, 2 * obstacle, SPHERE_PLACE + 3 * sphere)
        up = wp.where(sphere < 0, zero, forest[row, first + 2] - place[2])
        return vec3(forest[row, first] - place[0], forest[row, first + 1] - place[1], up)

    @wp.func
    def radius_of(forest: rows, row: int, obstacle: int) -> real:
        sphere = obstacle - COLUMNS
        return forest[row, wp.where(sphere < 0, COLUMN_RADIUS + obstacle, SPHERE_RADIUS + sphere)]

    @wp.func
    def acting(obstacle: int, direction: vec3) -> vec3:
        """The part of a vector that matters for an obstacle: the level part for a column."""
        return vec3(direction[0], direction[1], wp.where(obstacle < COLUMNS, zero, direction[2]))

    @wp.func
    def first_met(forest: rows, row: int, origin: vec3, turn: vec2, rays: each, first: int, reach: real) -> indices:
        """Obstacle that each ray meets first within `reach`, -1 if there is none. It has no slope.

        The origin is moved to the frame of the rays.
        """
        met, nearest = indices(), reals()
        for ray in range(count):
            met[ray] = -1
            nearest[ray] = reach
        for i in range(COLUMNS + SPHERES):
            away, radius = to_centre(forest, row, i, origin), radius_of(forest, row, i)
            c, margin = wp.dot(away, away) - radius * radius, reach + radius
            if c < margin * margin:
                x, y, z = turn[0] * away[0] + turn[1] * away[1], turn[0] * away[1] - turn[1] * away[0], away[2]
                for ray in range(count):
                    at = first + 3 * ray
                    ahead = rays[at]
                    left = rays[at + 1]
                    up = rays[at + 2]
                    b = x * ahead + y * left + z * up
                    if c < zero:
                        met[ray] = i
                        nearest[ray] = zero
                    elif b > zero:
                        a = ahead * ahead + left * left
                        if i >= COLUMNS:
                            a += up * up
                        discriminant = b * b - a * c
                        if discriminant >= zero:
                            far = c / (wp.sqrt(discriminant) + b)
                            if far < nearest[ray]:
                                met[ray] = i
                                nearest[ray] = far
        return met

    @wp.func_grad(first_met)
    def adj_first_met(
        forest: rows, row: int, origin: vec3, turn: vec2, rays: each, first: int, reach: real, adj_ret: indices
    ):
        pass

    @wp.func
    def direction_of(turn: vec2, rays: each, at: int) -> vec3:
        """Direction in the world of the ray whose entries begin at `at`."""
        return vec3(
            turn[0] * rays[at] - turn[1] * rays[at + 1], turn[1] * rays[at] + turn[0] * rays[at + 1], rays[at + 2]
        )

    @wp.func
    def range_to(forest: rows, row: int, obstacle: int, origin: vec3, direction: vec3) -> real:
        """Range of a ray to an obstacle that it meets."""
        q = -to_centre(forest, row, obstacle, origin)
        radius, d = radius_of(forest, row, obstacle), acting(obstacle, direction)
        c, b = wp.dot(q, q) - radius * radius, wp.dot(q, d)
        discriminant = b * b - wp.dot(d, d) * c
        outside = c >= zero
        crosses = outside and discriminant > zero
        # numbers that are not used must have a finite slope, or the result's is NaN
        root = wp.where(crosses, wp.sqrt(wp.where(crosses, discriminant, one)), zero)
        return wp.where(outside, c / wp.where(outside, root - b, one), zero)

    @wp.func
    def ground_range(origin: vec3, direction: vec3, reach: real) -> real:
        """Range of a ray to the plane z = 0, at most `reach`; 0 from below it."""
        height, down = origin[2], -direction[2]
        meets = height > zero and down * reach > height
        far = wp.where(meets, height / wp.where(meets, down, one), reach)
        return wp.where(height > zero, far, zero)

    @wp.func
    def ray_range(forest: rows, row: int, obstacle: int, origin: vec3, direction: vec3, reach: real) -> real:
        """Range of a ray to the obstacle that it meets, -1 for none, or to the ground, at most `reach`."""
        out = ground_range(origin, direction, reach)
        if obstacle >= 0:
            out = wp.min(out, range_to(forest, row, obstacle, origin, direction))
        return out

    @wp.func
    def nearest_share(forest: rows, row: int, obstacle: int, start: vec3, end: vec3) -> real:
        """Share of the way from `start` to `end` at which an obstacle is nearest. It has no slope."""
        along = acting(obstacle, end - start)
        squared = wp.dot(along, along)
        share = zero
        if squared > zero:
            share = wp.clamp(wp.dot(to_centre(forest, row, obstacle, start), along) / squared, zero, one)
        return share

    @wp.func_grad(nearest_share)
    def adj_nearest_share(forest: rows, row: int, obstacle: int, start: vec3, end: vec3, adj_ret: real):
        pass

    @wp.func
    def passing_distance(forest: rows, row: int, obstacle: int, start: vec3, end: vec3) -> real:
        """Smallest distance from a segment to an obstacle's surface, negative inside.

        The distance is stationary in the share of the way or the share is 0 or 1. So the share needs no slope.
        """
        share = nearest_share(forest, row, obstacle, start, end)
        offset = to_centre(forest, row, obstacle, start) - share * acting(obstacle, end - start)
        return wp.length(offset) - radius_of(forest, row, obstacle)

    @wp.func
    def nearest_obstacle(forest: rows, row: int, start: vec3, end: vec3) -> int:
        """Obstacle whose surface is nearest to a segment. It has no slope."""
        found, least = wp.int32(0), passing_distance(forest, row, 0, start, end)
        for i in range(1, COLUMNS + SPHERES):
            distance = passing_distance(forest, row, i, start, end)
            if distance < least:
                found, least = i, distance
        return found

    @wp.func_grad(nearest_obstacle)
    def adj_nearest_obstacle(forest: rows, row: int, start: vec3, end: vec3, adj_ret: int):
        pass

    @wp.func
    def clearance(forest: rows, row: int, start: vec3, end: vec3) -> real:
        """Smallest distance from a segment to a surface, negative inside."""
        return passing_distance(forest, row, nearest_obstacle(forest, row, start, end), start, end)

    return SimpleNamespace(
        vec2=vec2, first_met=first_met, direction_of=direction_of, ray_range=ray_range, clearance=clearance
    )


@cache
def segment_clearance(real: Any, backward: bool) -> Any:
    """Kernel of the clearance (B,) of segments between places (B, 3) in forests (B, 68)."""
    clearance, vec3 = functions(real, 1).clearance, kernels.functions(real).vec3

    @kernel(real, backward)
    def clear(
        start: wp.array2d(dtype=real),
        end: wp.array2d(dtype=real),
        forest: wp.array2d(dtype=real),
        out: wp.array(dtype=real),
    ):
        row = wp.tid()
        out[row] = clearance(
            forest,
            row,
            vec3(start[row, 0], start[row, 1], start[row, 2]),
            vec3(end[row, 0], end[row, 1], end[row, 2]),
        )

    return clear
