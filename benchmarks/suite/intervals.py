"""Interquartile means, probabilities of improvement and their bootstrap intervals, resampled by rliable.

Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.suite.definition import SuiteError

REPETITIONS = 2000


class Interval(NamedTuple):
    """A point estimate with its 95 % bootstrap interval.

    The bounds are NaN if there is only one run to resample.
    """

    value: float
    low: float
    high: float


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Mean of the middle half of `scores` along the first axis.

    int(n / 4) values are left out at either end.

    With fewer than 4 values none is left out.
    """
    cut = len(scores) // 4
    return np.asarray(np.sort(scores, axis=0)[cut : len(scores) - cut].mean(axis=0))


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P(X > Y) + P(X = Y) / 2 per column, for runs drawn from (n, columns) scores `x` and (m, columns) scores `y`."""
    difference = x[:, None] - y[None]
    return np.asarray(((difference > 0.0) + 0.5 * (difference == 0.0)).mean(axis=(0, 1)))


def interquartile_means(scores: np.ndarray, pooled: int) -> list[Interval]:
    """Interquartile mean per column of (runs, columns) scores, and last that of the first `pooled` columns together.

    The bootstrap draws runs anew within each column (stratified).
    """

    def estimate(drawn: np.ndarray) -> np.ndarray:
        return np.append(interquartile_mean(drawn), interquartile_mean(drawn[:, :pooled].ravel()))

    return _intervals(estimate, scores)


def improvements(x: np.ndarray, y: np.ndarray) -> list[Interval]:
    """Probability of improvement of X over Y for each column of (runs, tasks) scores, and last their mean."""

    def estimate(drawn_x: np.ndarray, drawn_y: np.ndarray) -> np.ndarray:
        per_task = probability_of_improvement(drawn_x, drawn_y)
        return np.append(per_task, per_task.mean())

    return _intervals(estimate, x, y)


def require_rliable() -> None:
    """Raise SuiteError if rliable is not installed."""
    try:
        import rliable.library  # noqa: F401
    except ImportError as error:
        raise SuiteError(
            f"reports need the extra `bench`: pip install -c constraints.txt -e '.[bench]' ({error})"
        ) from error


def _intervals(estimate: Callable[..., np.ndarray], *scores: np.ndarray) -> list[Interval]:
    if min(len(matrix) for matrix in scores) < 2:  # resampling one run says nothing about another
        return [Interval(value, math.nan, math.nan) for value in estimate(*scores).tolist()]
    from rliable.library import get_interval_estimates

    previous = np.random.get_state()  # noqa: NPY002  (rliable draws from numpy's global generator, whatever it is given)
    np.random.seed(0)  # noqa: NPY002
    try:
        given: np.ndarray | Sequence[np.ndarray] = scores[0] if len(scores) == 1 else list(scores)
        points, bounds = get_interval_estimates({"": given}, estimate, reps=REPETITIONS)
    finally:
        np.random.set_state(previous)  # noqa: NPY002
    return [Interval(*figures) for figures in zip(points[""].tolist(), *bounds[""].tolist(), strict=True)]
