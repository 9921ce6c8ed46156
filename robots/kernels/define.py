"""Definition of kernels whose results do not depend on the code around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import warp as wp


def kernel(real: Any, backward: bool, unroll: int = 16) -> Callable[[Any], Any]:
    """Decorator of a Warp kernel in a module of its own, without fused multiply-add.

    A fused operation rounds once instead of twice, and the compiler chooses where. Without it, a row has the same bits
    in every kernel that computes it.

    Args:
        real: Floating type of Warp. Kernels for float64, which only checks use, are compiled without optimisation: they
            compile in half the time and have the same bits.
        backward: Whether the kernel has an adjoint.
        unroll: Turns up to which loops are unrolled; the adjoint of a longer loop that carries numbers is wrong.
    """
    options = {"fuse_fp": False, "max_unroll": max(16, unroll)}
    if real is wp.float64:
        options["optimization_level"] = 0
    return wp.kernel(enable_backward=backward, module="unique", module_options=options)
