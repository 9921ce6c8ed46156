"""A kernel that compiles fast, and the same in torch."""

# mypy: ignore-errors

from functools import cache
from typing import Any

import torch
import warp as wp
from torch import Tensor

from robots.kernels.launch import Kernel, Output


@cache
def weighted_square(real: Any, backward: bool) -> Any:
    """Kernel of y = scale w x^2 + offset for x (B, 2), w (B or 1, 2) and offset (2,), and whether y_0 > 0."""

    vec2 = wp.types.vector(length=2, dtype=real)

    @wp.kernel(enable_backward=backward, module="unique")
    def square(
        x: wp.array(dtype=vec2),
        w: wp.array2d(dtype=real),
        offset: wp.array(dtype=real),
        scale: real,
        y: wp.array2d(dtype=real),
        positive: wp.array(dtype=wp.bool),
    ):
        row = wp.tid()
        own = x[row]
        for j in range(2):
            y[row, j] = scale * w[row, j] * own[j] * own[j] + offset[j]
        positive[row] = scale * w[row, 0] * own[0] * own[0] + offset[0] > real(0.0)

    return square


def square_kernel(dtype: torch.dtype = torch.float64) -> Kernel:
    """The kernel with scale 3."""
    return Kernel(weighted_square, dtype, [Output((2,)), Output((), torch.bool)], [3.0])


def square_in_torch(x: Tensor, w: Tensor, offset: Tensor) -> Tensor:
    """y in torch, with scale 3."""
    return 3.0 * w * x * x + offset
