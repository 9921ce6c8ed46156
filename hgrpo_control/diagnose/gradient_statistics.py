"""Mean and variance of gradients against a reference gradient, from replicates of both.

With g the gradient of one replicate and g* = E r of a reference replicate r, everything here is a function of four
numbers: |E g|^2, tr Cov g, E g . g* and |g*|^2. Squares of means are averaged over pairs of different replicates, so
that noise is not counted as signal; errors are those of the jackknife over the replicates of both. Where there is no
bias at all, the error of its square is too large by a factor sqrt(2): the error on the safe side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

_ERRORS_APART = 2.0


class Estimate(NamedTuple):
    """A figure with its standard error."""

    value: float
    error: float

    @property
    def above_zero(self) -> bool:
        """Whether it is more than two standard errors above 0; false for NaN."""
        return self.value > _ERRORS_APART * self.error

    @property
    def upper(self) -> float:
        """The value plus two standard errors."""
        return self.value + _ERRORS_APART * self.error


class Moments(NamedTuple):
    """The four numbers, () or one per replicate left out (R,)."""

    signal: Tensor
    """|E g|^2; may come out negative where noise prevails."""
    noise: Tensor
    """tr Cov g."""
    overlap: Tensor
    """E g . g*."""
    reference: Tensor
    """|g*|^2."""


class Measurement(NamedTuple):
    """Bias and noise of an estimator's gradient."""

    replicates: int
    relative_bias_squared: Estimate
    """|E g - g*|^2 / |g*|^2; 0 within its error where no bias can be told."""
    cosine: Estimate
    """E g . g* / (|E g| |g*|): bias of the direction alone; NaN where |E g|^2 came out negative."""
    noise_to_signal: Estimate
    """tr Cov g / |E g|^2 of one replicate, whatever the estimator's scale."""
    best_scale: Estimate
    """alpha = E g . g* / |E g|^2, which brings alpha E g nearest to g*."""
    error_left: Estimate
    """Bias and noise together: min over alpha >= 0 of E |alpha m - g*|^2 / |g*|^2 for the mean m of `passes`
    replicates, 1 - max(E g . g*, 0)^2 / (|g*|^2 (|E g|^2 + tr Cov g / passes)); 0 is g* itself, 1 is no better than
    standing still."""
    signal: Estimate
    """|E g|^2."""
    variance: Estimate
    """tr Cov g of one replicate."""


_Formula = Callable[[Moments], Tensor]


def summarise(gradients: Tensor, reference: Tensor, passes: float) -> Measurement:
    """Bias and noise of an estimator from replicates.

    Args:
        gradients: (R, P) replicates of the estimator, R at least 3.
        reference: (S, P) replicates of an unbiased reference, S at least 3.
        passes: Number of replicates, not necessarily whole, that `error_left` averages over.
    """
    full, *left_out = moments(gradients, reference)

    def error_left(m: Moments) -> Tensor:
        return 1.0 - m.overlap.clamp_min(0.0).square() / (m.reference * (m.signal + m.noise / passes))

    def figure(formula: _Formula) -> Estimate:
        return Estimate(formula(full).item(), jackknife_error([formula(part) for part in left_out]))

    return Measurement(
        replicates=len(gradients),
        relative_bias_squared=figure(lambda m: (m.signal - 2.0 * m.overlap + m.reference) / m.reference),
        cosine=figure(lambda m: m.overlap / (m.signal * m.reference).sqrt()),
        noise_to_signal=figure(lambda m: m.noise / m.signal),
        best_scale=figure(lambda m: m.overlap / m.signal),
        error_left=figure(error_left),
        signal=figure(lambda m: m.signal),
        variance=figure(lambda m: m.noise),
    )


def moments(gradients: Tensor, reference: Tensor) -> tuple[Moments, Moments, Moments]:
    """Moments from replicates (R, P) and (S, P).

    Returns those of all, those with each of the R left out, and those with each of the S left out.
    """
    g, r = gradients.double(), reference.double()
    sum_g, sum_r = g.sum(0), r.sum(0)
    overlap = sum_g @ sum_r / (len(g) * len(r))
    signal, noise, signal_without, noise_without = _signal_and_noise(g)
    power, _, power_without, _ = _signal_and_noise(r)
    overlap_without_g = (sum_g @ sum_r - g @ sum_r) / ((len(g) - 1) * len(r))
    overlap_without_r = (sum_g @ sum_r - r @ sum_g) / (len(g) * (len(r) - 1))
    return (
        Moments(signal, noise, overlap, power),
        Moments(signal_without, noise_without, overlap_without_g, power.expand(len(g))),
        Moments(signal.expand(len(r)), noise.expand(len(r)), overlap_without_r, power_without),
    )


def jackknife_error(left_out: list[Tensor]) -> float:
    """Standard error of a figure: root of the sum over sets of (R - 1) / R sum (x_i - mean x)^2.

    `left_out` has one tensor (R,) per independent set of replicates: the figure with each replicate left out.
    """
    return sum((len(x) - 1.0) * x.var(correction=0).item() for x in left_out) ** 0.5


def _signal_and_noise(g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Unbiased |E g|^2 and tr Cov g from replicates (R, P).

    Returns both of all replicates, and both (R,) with each replicate left out.
    """
    number, total = len(g), g.sum(0)
    squares = g.square().sum(1)
    whole, parts = total @ total, total @ total - 2.0 * (g @ total) + squares
    return (
        *_split(whole, squares.sum(), number),
        *_split(parts, squares.sum() - squares, number - 1),
    )


def _split(square_of_sum: Tensor, sum_of_squares: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """|E g|^2 and tr Cov g from sums over replicates.

    (|sum|^2 - sum |g|^2) / (R (R - 1)) is the mean product of two different replicates: |E g|^2.
    """
    signal = (square_of_sum - sum_of_squares) / (number * (number - 1))
    noise = (sum_of_squares - square_of_sum / number) / (number - 1)
    return signal, noise
