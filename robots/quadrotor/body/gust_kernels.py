"""Gusts as a Warp kernel; randomization.py has the process."""

# mypy: ignore-errors

from functools import cache
from typing import Any

import warp as wp

from robots.kernels import noise
from robots.kernels.define import kernel


@cache
def next_gusts(real: Any, backward: bool) -> Any:
    """Kernel from gusts (B, 3), their counters and keys (B,) to the gusts and counters after a step."""
    normal = noise.functions(real).normal

    @kernel(real, backward)
    def blow(
        gust: wp.array2d(dtype=real),
        counter: wp.array(dtype=wp.int64),
        key: wp.array(dtype=wp.int64),
        keep: real,
        fresh: real,
        new_gust: wp.array2d(dtype=real),
        new_counter: wp.array(dtype=wp.int64),
    ):
        row = wp.tid()
        count = counter[row] + wp.int64(1)
        for axis in range(3):
            new_gust[row, axis] = keep * gust[row, axis] + fresh * normal(key[row], count, axis)
        new_counter[row] = count

    return blow
