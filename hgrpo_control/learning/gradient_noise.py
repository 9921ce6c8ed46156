"""The gradient noise scale: how much of a gradient is noise, from its minibatches."""

from __future__ import annotations

import math

from torch import Tensor


class GradientMoments:
    """Sum and summed squared length of the gradients (P,) of equal minibatches.

    It holds one gradient, however many were added.
    """

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.squares: Tensor | float = 0.0
        self.count = 0

    def add(self, gradient: Tensor) -> None:
        """Add the gradient (P,) of one minibatch, which may be overwritten afterwards."""
        gradient = gradient.double()
        self.total = gradient.clone() if self.total is None else self.total.add_(gradient)
        self.squares = self.squares + gradient.square().sum()
        self.count += 1

    def noise_scale(self, samples: float) -> float:
        """B in samples, for minibatches of `samples` each on average.

        NaN for fewer than two gradients and where `noise_scale` is NaN. Where a share 1 - p of the samples has weight
        0, and they are not counted, B is 1 - p of a sample too high, since chance has spread the others over the
        minibatches; any factor common to all gradients cancels.
        """
        if self.total is None or self.count < 2:
            return math.nan
        square_of_mean = (self.total / self.count).square().sum().item()
        return noise_scale(float(self.squares) / self.count, square_of_mean, samples, self.count * samples)


def gradient_variance(mean_square: float, square_of_mean: float, small: float, big: float) -> tuple[float, float]:
    """Unbiased estimates of |G|^2 and tr(Sigma) from gradients of two batch sizes.

    A mean over b samples is G plus noise of covariance Sigma / b, so E|g_b|^2 = |G|^2 + tr(Sigma) / b for both sizes:
    |G|^2 = (big |g_big|^2 - small |g_small|^2) / (big - small) and
    tr(Sigma) = (|g_small|^2 - |g_big|^2) / (1 / small - 1 / big) (McCandlish et al., 2018, appendix A.1).

    Args:
        mean_square: Mean of |g|^2 over disjoint minibatches.
        square_of_mean: |g|^2 of the mean of their gradients.
        small: Samples in a minibatch.
        big: Samples in all minibatches.
    """
    signal = (big * square_of_mean - small * mean_square) / (big - small)
    return signal, (mean_square - square_of_mean) / (1.0 / small - 1.0 / big)


def noise_scale(mean_square: float, square_of_mean: float, small: float, big: float) -> float:
    """B = tr(Sigma) / |G|^2: beyond B samples, more of them hardly improve a gradient.

    NaN where the estimate of |G|^2 is not positive: the batch is too small to see a gradient in the noise.

    Args:
        mean_square: As for `gradient_variance`.
        square_of_mean: The same.
        small: The same.
        big: The same.
    """
    signal, trace = gradient_variance(mean_square, square_of_mean, small, big)
    return trace / signal if signal > 0.0 else math.nan
