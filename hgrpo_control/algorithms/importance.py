"""Importance weights of guided samples."""

from __future__ import annotations

import torch
from torch import Tensor


def guided_count(num_samples: int) -> int:
    """How many of N samples are guided: floor(N / 2), the last ones, never the executed sample 0."""
    return num_samples // 2


def effective_sample_size(weight: Tensor) -> float:
    """(sum w)^2 / sum w^2 divided by the number of weights: 1 if they are all equal, 1 / number if only one counts."""
    return (weight.sum().square() / (weight.square().sum() * weight.numel())).item()


def averaging_weights(weight: Tensor) -> Tensor:
    """Weights v (..., N) for which mean_i v_i x_i estimates a mean under pi, from importance weights (..., N) of which
    the last K = floor(N / 2) belong to resampled actions.

    K weighted samples are worth e K straight ones, e being their effective sample size over all groups. So they get e w
    and the others 1, all times N / (N - K + e K): what has the least variance, as far as w and x are independent.
    """
    number = weight.shape[-1]
    guided = guided_count(number)
    worth = effective_sample_size(weight[..., number - guided :])
    share = torch.ones(number, dtype=weight.dtype, device=weight.device)
    share[number - guided :] = worth
    return weight * share * (number / (number - guided + worth * guided))
