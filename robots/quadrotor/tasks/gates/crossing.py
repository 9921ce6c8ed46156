"""Passage of a segment through a square gate, in closed form.

The gate frame has its origin in the centre of the opening, x along the direction of passing, y to the left and z up.
The opening is the square |y|, |z| <= half. Around it is a square ring in the plane x = 0 of width `bar`. The drone is a
ball of radius `clearance`: it passes with its centre within half - clearance, and strikes the ring up to half + bar +
clearance.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Crossing(NamedTuple):
    """Crossings of segments with a gate's plane; all fields have the same shape (...)."""

    forward: Tensor
    """bool, crossed from behind (x < 0) to the front (x >= 0)."""
    inside: Tensor
    """bool, crossed in either direction inside the opening."""
    struck: Tensor
    """bool, crossed in either direction at the ring."""
    share: Tensor
    """Share of the segment before the plane, in [0, 1]; 1 without a crossing."""
    off_centre: Tensor
    """Distance r from the centre [m]; without a crossing that of the segment's end."""


def crossing(start: Tensor, end: Tensor, half: Tensor, bar: float, clearance: float) -> Crossing:
    """Crossings of segments with the plane of a gate.

    A segment that ends in the plane has crossed it, one that starts in it has not, so each crossing counts once:
    forward if x_start < 0 <= x_end, backward if x_end < 0 <= x_start. It meets the plane at the share s = x_start /
    (x_start - x_end) of its length, at (y, z) = start + s (end - start). With r = max(|y|, |z|) it is inside if r <=
    half - clearance, and strikes the ring if half - clearance < r <= half + bar + clearance.

    Args:
        start: (3, ...) start in the gate frame [m].
        end: (3, ...) end in the gate frame [m].
        half: (...) half the inner edge of the opening [m].
        bar: Width of the ring [m].
        clearance: Radius of the drone [m].
    """
    behind, ahead = start[0] < 0.0, end[0] >= 0.0
    crossed = behind == ahead
    share = torch.where(crossed, start[0] / torch.where(crossed, start[0] - end[0], 1.0), 1.0)
    met = start[1:] + share * (end[1:] - start[1:])
    off_centre = torch.maximum(met[0].abs(), met[1].abs())
    inside = crossed & (off_centre <= half - clearance)
    struck = crossed & ~inside & (off_centre <= half + (bar + clearance))
    return Crossing(crossed & behind, inside, struck, share, off_centre)
