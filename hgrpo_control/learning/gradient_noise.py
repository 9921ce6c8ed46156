"""The gradient noise scale: how much of a gradient is noise, from its minibatches."""

from __future__ import annotations

import math

from torch import Tensor


class GradientMoments:
    """Sum and summed squared length of the gradients (P,) of equal minibatches; holds one gradient, however many there
    were."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.squares: Tensor | float = 0.0
        self.count = 0

    def add(self, gradient: Tensor) -> None:
        """Take in one minibatch's gradient (P,)."""
        gradient = gradient.double()
        self.total = gradient if self.total is None else self.total + gradient
        self.squares = self.squares + gradient.square().sum()
        self.count += 1

    def noise_scale(self, samples: float) -> float:
        """B in samples, for minibatches of `samples` each on average; NaN where it cannot be told, see `noise_scale`.

        Where a share 1 - p of the samples has weight 0, and they are not counted, B comes out 1 - p of a sample too
        high, since chance has spread the others over the minibatches; any factor common to all gradients cancels.
        """
        if self.total is None or self.count < 2:
            return math.nan
        square_of_mean = (self.total / self.count).square().sum().item()
        return noise_scale(float(self.squares) / self.count, square_of_mean, samples, self.count * samples)


def gradient_variance(mean_square: float, square_of_mean: float, small: float, big: float) -> tuple[float, float]:
    """Unbiased estimates of |G|^2 and tr(Sigma), where a mean over b samples is G plus noise of covariance Sigma / b.

    `mean_square` is the mean of |g|^2 over disjoint minibatches of `small` samples, `square_of_mean` is |g|^2 of their
    mean, over all `big` samples. E|g_b|^2 = |G|^2 + tr(Sigma) / b for both, so
    |G|^2 = (big |g_big|^2 - small |g_small|^2) / (big - small) and
    tr(Sigma) = (|g_small|^2 - |g_big|^2) / (1 / small - 1 / big) (McCandlish et al., 2018, appendix A.1).
    """
    signal = (big * square_of_mean - small * mean_square) / (big - small)
    return signal, (mean_square - square_of_mean) / (1.0 / small - 1.0 / big)


def noise_scale(mean_square: float, square_of_mean: float, small: float, big: float) -> float:
    """B = tr(Sigma) / |G|^2, the number of samples from which on more of them hardly improve a gradient.

    The arguments are those of `gradient_variance`. NaN where the estimate of |G|^2 is not positive: the batch is too
    small to see a gradient in the noise.
    """
    signal, trace = gradient_variance(mean_square, square_of_mean, small, big)
    return trace / signal if signal > 0.0 else math.nan
