"""Kernels of the geometry that missions compute from the segment of a control step."""

# mypy: ignore-errors

from functools import cache
from typing import NamedTuple

import torch
import warp as wp
from torch import Tensor

from robots.kernels.launch import Kernel, Output
from robots.quadrotor.body import kernels
from robots.quadrotor.tasks.gates.crossing import crossings
from robots.quadrotor.tasks.waypoint_kernels import nearest_squares


class Crossing(NamedTuple):
    """Results of the Warp function, (B,) each."""

    forward: Tensor
    inside: Tensor
    struck: Tensor
    share: Tensor
    off_centre: Tensor


def crossing(start: Tensor, end: Tensor, half: Tensor, bar: float, clearance: float) -> Crossing:
    """Crossings of segments (B, 3) with the plane of gates; half is (B,)."""
    flag = Output((), torch.bool)
    kernel = Kernel(_crossing, start.dtype, [flag, flag, flag, Output(), Output()], [bar, clearance])
    return Crossing(*kernel(start, end, half))


def nearest_squared(start: Tensor, end: Tensor) -> Tensor:
    """Smallest squared distance (B,) of segments (B, 3) to the origin."""
    return Kernel(_nearest, start.dtype, [Output()])(start, end)[0]


@cache
def _crossing(real, backward):
    function, vec3 = crossings(real), kernels.functions(real).vec3

    @wp.kernel(enable_backward=backward, module="unique")
    def cross(
        start: wp.array2d(dtype=real),
        end: wp.array2d(dtype=real),
        half: wp.array(dtype=real),
        bar: real,
        clearance: real,
        forward: wp.array(dtype=wp.bool),
        inside: wp.array(dtype=wp.bool),
        struck: wp.array(dtype=wp.bool),
        share: wp.array(dtype=real),
        off_centre: wp.array(dtype=real),
    ):
        i = wp.tid()
        a, b, c, d, e = function(
            vec3(start[i, 0], start[i, 1], start[i, 2]),
            vec3(end[i, 0], end[i, 1], end[i, 2]),
            half[i],
            bar,
            clearance,
        )
        forward[i] = a
        inside[i] = b
        struck[i] = c
        share[i] = d
        off_centre[i] = e

    return cross


@cache
def _nearest(real, backward):
    function, vec3 = nearest_squares(real), kernels.functions(real).vec3

    @wp.kernel(enable_backward=backward, module="unique")
    def nearest(start: wp.array2d(dtype=real), end: wp.array2d(dtype=real), squared: wp.array(dtype=real)):
        i = wp.tid()
        squared[i] = function(
            vec3(start[i, 0], start[i, 1], start[i, 2]),
            vec3(end[i, 0], end[i, 1], end[i, 2]),
        )

    return nearest
