"""Diagonal Gaussian over actions: density and entropy in closed form."""

from __future__ import annotations

import math

from torch import Tensor

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def log_density(action: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """log N(action; mean, sigma^2), summed over the last dimension.

    Args:
        action: (..., A).
        mean: (..., A); its leading dimensions broadcast to those of `action`.
        sigma: (A,).

    Returns:
        (...) in nats.

    Raises ValueError for shapes that do not fit.
    """
    fits = action.dim() == mean.dim() and sigma.shape == action.shape[-1:] == mean.shape[-1:]
    if not fits or any(m not in (1, a) for a, m in zip(action.shape, mean.shape, strict=True)):
        raise ValueError(
            f"shapes do not fit: action {tuple(action.shape)}, mean {tuple(mean.shape)}, sigma {tuple(sigma.shape)}; "
            "expected (..., A), (..., A), (A,)"
        )
    return standard_log_density((action - mean) / sigma) - sigma.log().sum()


def standard_log_density(z: Tensor) -> Tensor:
    """log N(z; 0, 1) (...) of z (..., A), summed over the last dimension."""
    return -0.5 * z.square().sum(-1) - _HALF_LOG_TWO_PI * z.shape[-1]


def entropy(sigma: Tensor) -> Tensor:
    """Differential entropy () in nats: sum of 1/2 ln(2 pi e sigma^2) over (A,)."""
    return (0.5 + _HALF_LOG_TWO_PI + sigma.log()).sum()
