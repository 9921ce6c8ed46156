"""Closed trajectories as cubic B-splines of time: circles, figure eights and random loops.

A trajectory is a closed uniform cubic B-spline of time. With the lap s = s_0 + rate t, K control points P_i, u = K s,
i = floor(u) and f = u - i:

    p(t) = (1-f)^3/6 P_{i-1} + (3f^3 - 6f^2 + 4)/6 P_i + (-3f^3 + 3f^2 + 3f + 1)/6 P_{i+1} + f^3/6 P_{i+2}

with indices modulo K. Position, velocity and acceleration are continuous everywhere, also at the end of a lap. The
curve is within the convex hull of its control points. Circles and eights are splines, too: their control points are
samples of a harmonic of order m, scaled by 3 / (2 + cos(2 pi m / K)), so that the spline is on the harmonic at every
knot. Between knots the error is 0.006 % of the amplitude for m = 1 and 0.12 % for m = 2, at K = 16.

`speed` is the mean over a lap, length over duration. The speed on a circle is constant; on an eight it is lower at the
ends and higher in the middle.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from robots.quadrotor.body import rotation

KNOTS = 16
_SAMPLES = 256  # samples of a lap for its length
_CORNERS = 8  # corners of a random loop


class Trajectory(NamedTuple):
    """B closed trajectories."""

    points: Tensor
    """(B, K, 3) control points in the world frame [m]."""
    rate: Tensor
    """(B,) laps per second [1/s]; negative for the reverse direction."""
    start: Tensor
    """(B,) position on the lap at time 0, in [0, 1)."""


def evaluate(trajectory: Trajectory, time: Tensor, order: int = 0) -> Tensor:
    """Positions on trajectories, or their time derivatives.

    Args:
        trajectory: B trajectories.
        time: (k, B) times [s].
        order: 0 for positions [m], 1 for velocities [m/s], 2 for accelerations [m/s^2].

    Returns:
        (3, k, B) values.
    """
    batch, knots = trajectory.points.shape[:2]
    u = (trajectory.start + trajectory.rate * time) * knots
    whole = torch.floor(u)
    weights = _blend(u - whole, order)
    rows = torch.arange(batch, device=time.device)
    first = whole.to(torch.int64) - 1
    total: Tensor | None = None
    for i, weight in enumerate(weights):
        part = weight.unsqueeze(-1) * trajectory.points[rows, (first + i) % knots]
        total = part if total is None else total + part
    assert total is not None  # four weights
    for _ in range(order):
        total = total * (trajectory.rate * knots).unsqueeze(-1)
    return total.permute(2, 0, 1)


def _blend(f: Tensor, order: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of four control points at f in [0, 1) between two knots, or their derivatives."""
    g, square = 1.0 - f, f * f
    if order == 0:
        cube = square * f
        middle = (3.0 * cube - 6.0 * square + 4.0) / 6.0
        return g * g * g / 6.0, middle, (3.0 * (square + f - cube) + 1.0) / 6.0, cube / 6.0
    if order == 1:
        return -0.5 * g * g, 1.5 * square - 2.0 * f, 0.5 + f - 1.5 * square, 0.5 * square
    if order == 2:
        return g, 3.0 * f - 2.0, 1.0 - 3.0 * f, f
    raise ValueError(f"the order of a derivative is 0, 1 or 2; given {order}")


def at_speed(points: Tensor, speed: Tensor, start: Tensor) -> Trajectory:
    """Trajectories of given mean speeds.

    Args:
        points: (B, K, 3) control points [m].
        speed: (B,) mean speeds [m/s]; negative for the reverse direction.
        start: (B,) position on the lap at time 0, in [0, 1).
    """
    return Trajectory(points, speed / length(points), start)


def length(points: Tensor) -> Tensor:
    """Length (B,) of a lap [m]: the mean of |dp/ds| over the lap."""
    batch = len(points)
    one = torch.ones(batch, dtype=points.dtype, device=points.device)
    laps = (torch.arange(_SAMPLES, dtype=points.dtype, device=points.device) + 0.5) / _SAMPLES
    along = evaluate(Trajectory(points, one, 0.0 * one), laps.unsqueeze(1).expand(-1, batch), order=1)
    return rotation.squared_norm(along).sqrt().mean(dim=0)


def circle(radius: Tensor) -> Tensor:
    """Control points (B, K, 3) of level circles with radii (B, 1) [m] around the origin."""
    cosine, sine, zero = _harmonics(radius)
    return torch.stack((radius * cosine, radius * sine, zero), dim=2)


def eight(half_width: Tensor) -> Tensor:
    """Control points (B, K, 3) of level lemniscates of Gerono with half widths a (B, 1) [m].

    x = a cos(2 pi s), y = a/2 sin(4 pi s).
    """
    cosine, _, zero = _harmonics(half_width)
    _, double, _ = _harmonics(half_width, order=2)
    return torch.stack((half_width * cosine, 0.5 * half_width * double, zero), dim=2)


def loop(radius: Tensor, height: Tensor) -> Tensor:
    """Control points (B, K, 3) of loops around the origin near 8 corners, 45 degrees apart.

    The curve is the spline of the corners with twice as many knots (Lane and Riesenfeld, 1980).

    Args:
        radius: (B, 8) distances of the corners from the vertical axis [m].
        height: (B, 8) heights of the corners [m].
    """
    angle = 2.0 * math.pi / _CORNERS * torch.arange(_CORNERS, dtype=radius.dtype, device=radius.device)
    corners = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle), height), dim=2)
    before, after = corners.roll(1, dims=1), corners.roll(-1, dims=1)
    pairs = torch.stack(((before + 6.0 * corners + after) / 8.0, (corners + after) / 2.0), dim=2)
    return pairs.flatten(1, 2)


def placed(points: Tensor, centre: Tensor, quaternion: Tensor) -> Tensor:
    """Rotate control points (B, K, 3) by quaternions (B, 4) and move them by centres (B, 3) [m]."""
    rows = rotation.rotation_rows(quaternion.t())
    x, y, z = points.unbind(2)
    turned = [rows[i, 0, :, None] * x + rows[i, 1, :, None] * y + rows[i, 2, :, None] * z for i in range(3)]
    return torch.stack(turned, dim=2) + centre.unsqueeze(1)


def _harmonics(like: Tensor, order: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled cosine and sine (B, K) of a harmonic of a lap, and zeros (B, K)."""
    step = 2.0 * math.pi * order / KNOTS
    angle = step * torch.arange(KNOTS, dtype=like.dtype, device=like.device).expand(len(like), -1)
    scale = 3.0 / (2.0 + math.cos(step))
    return scale * torch.cos(angle), scale * torch.sin(angle), torch.zeros_like(angle)
