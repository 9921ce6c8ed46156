"""Passage of a segment through a square gate, in closed form, as a Warp function.

The gate frame has its origin in the centre of the opening, x along the direction of passing, y to the left and z up.
The opening is the square |y|, |z| <= half. Around it is a square ring in the plane x = 0 of width `bar`. The drone is a
ball of radius `clearance`: it passes with its centre within half - clearance, and strikes the ring up to half + bar +
clearance.

A segment that ends in the plane has crossed it, one that starts in it has not, so each crossing counts once: forward if
x_start < 0 <= x_end, backward if x_end < 0 <= x_start. It meets the plane at the share s = x_start / (x_start - x_end)
of its length, at (y, z) = start + s (end - start). With r = max(|y|, |z|) it is inside if r <= half - clearance, and
strikes the ring if half - clearance < r <= half + bar + clearance.
"""

# mypy: ignore-errors

from functools import cache
from typing import Any

import warp as wp

from robots.quadrotor.body import kernels


@cache
def crossings(real: Any) -> Any:
    """Warp function of the crossing of a segment with the plane of a gate.

    crossing(start: vec3, end: vec3, half, bar, clearance) takes the segment in the gate frame [m] and returns

    - forward: bool, crossed from behind (x < 0) to the front (x >= 0);
    - inside: bool, crossed in either direction inside the opening;
    - struck: bool, crossed in either direction at the ring;
    - share: share of the segment before the plane, in [0, 1]; 1 without a crossing;
    - off_centre: distance r from the centre [m]; without a crossing that of the segment's end.
    """
    vec3 = kernels.functions(real).vec3

    @wp.func
    def crossing(start: vec3, end: vec3, half: real, bar: real, clearance: real):
        behind, ahead = start[0] < real(0.0), end[0] >= real(0.0)
        crossed, one = behind == ahead, real(1.0)
        # without a crossing the divisor may be 0, and the slope of the share would be NaN
        share = wp.where(crossed, start[0] / wp.where(crossed, start[0] - end[0], one), one)
        y = start[1] + share * (end[1] - start[1])
        z = start[2] + share * (end[2] - start[2])
        off_centre = wp.max(wp.abs(y), wp.abs(z))
        inside = crossed and off_centre <= half - clearance
        struck = crossed and not inside and off_centre <= half + (bar + clearance)
        return crossed and behind, inside, struck, share, off_centre

    return crossing
