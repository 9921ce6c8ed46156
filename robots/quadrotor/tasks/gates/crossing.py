"""Whether a segment passes through a square gate, in closed form.

A gate's own frame has its origin in the middle of the opening, x along the direction of passing, y to the left and z
up as seen by who passes. The opening is the square |y|, |z| <= half; the frame around it is a square ring in the plane
x = 0, as wide as `bar`. The drone is a ball of radius `clearance` as far as the opening and the ring are concerned: it
passes with its centre within half - clearance, and touches the ring up to half + bar + clearance.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Crossing(NamedTuple):
    """What segments did at a gate's plane; all (...) of one shape."""

    forward: Tensor
    """bool, crossed from behind (x < 0) to the front (x >= 0)."""
    inside: Tensor
    """bool, crossed either way within the opening."""
    struck: Tensor
    """bool, crossed either way where the frame is."""
    share: Tensor
    """Of the segment flown when the plane was met, in [0, 1]; 1 where it was not."""
    off_centre: Tensor
    """r [m]; where the plane was not met, that of the segment's end."""


def crossing(start: Tensor, end: Tensor, half: Tensor, bar: float, clearance: float) -> Crossing:
    """Where segments from `start` to `end` (3, ...) [m], in the gate's own frame, meet its plane.

    A segment that ends in the plane has crossed it, one that begins there has not, so each crossing counts once:
    forward if x_start < 0 <= x_end, backward if x_end < 0 <= x_start. It meets the plane at the share
    s = x_start / (x_start - x_end) of its length, at (y, z) = start + s (end - start); with r = max(|y|, |z|) it is
    inside if r <= half - clearance, strikes the frame if half - clearance < r <= half + bar + clearance, and passes
    around it beyond. `half` [m] is half the opening's inner edge.
    """
    behind, ahead = start[0] < 0.0, end[0] >= 0.0
    crossed = behind == ahead
    share = torch.where(crossed, start[0] / torch.where(crossed, start[0] - end[0], 1.0), 1.0)
    met = start[1:] + share * (end[1:] - start[1:])
    off_centre = torch.maximum(met[0].abs(), met[1].abs())
    inside = crossed & (off_centre <= half - clearance)
    struck = crossed & ~inside & (off_centre <= half + (bar + clearance))
    return Crossing(crossed & behind, inside, struck, share, off_centre)
