"""Kernel of random numbers."""

# mypy: ignore-errors

from functools import cache

import torch
import warp as wp
from torch import Tensor

from robots.kernels import noise
from robots.kernels.define import kernel
from robots.kernels.launch import Kernel, Output


def drawn(key: Tensor, counter: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Uniform and normal numbers (B, size), and keys (B,) split by the counters."""
    launch = Kernel(_drawing(size), dtype, [Output((size,)), Output((size,)), Output((), torch.int64)])
    return launch(key, counter)


@cache
def _drawing(size):
    @cache
    def make(real, backward):
        f, split = noise.functions(real), noise.split
        uniform, normal = f.uniform, f.normal

        @kernel(real, backward)
        def draw(
            key: wp.array(dtype=wp.int64),
            counter: wp.array(dtype=wp.int64),
            uniforms: wp.array2d(dtype=real),
            normals: wp.array2d(dtype=real),
            keys: wp.array(dtype=wp.int64),
        ):
            row = wp.tid()
            for i in range(size):
                uniforms[row, i] = uniform(key[row], counter[row], i)
                normals[row, i] = normal(key[row], counter[row], i)
            keys[row] = split(key[row], counter[row])

        return draw

    return make
