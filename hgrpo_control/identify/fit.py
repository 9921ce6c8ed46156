"""Output-error fit over short windows, with the first state of each window as unknown.

The sum of squared residuals, each channel divided by the deviation of its noise, is minimised by Gauss-Newton steps
with Levenberg-Marquardt damping. The first states are eliminated from each step by the Schur complement. The deviations
follow from the residuals of the step before. A broad normal prior keeps what the log does not show at the start.
Multiple shooting and output error: Betts, Practical Methods for Optimal Control, 2010; Jategaonkar, Flight Vehicle
System Identification, 2015.

Intervals are the larger of two: from the curvature, as for white noise, and from the scores of the windows, which also
holds if the residuals within a window are correlated (the sandwich estimator of Liang and Zeger, 1986).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hgrpo_control.identify.log import Array, Log, LogError, Mask
from hgrpo_control.identify.model import DRAG, LATENCY, PARAMETERS, SIZE, WIND, point_of, values_of
from hgrpo_control.identify.windows import STATE, Windows, residuals, windows_of
from robots.quadrotor.body.parameters import QuadrotorParameters

WINDOW = 0.5
"""Length of a window [s]."""
FEWEST = 2 * SIZE
"""Fewest windows that are fitted."""
_ITERATIONS = 40
_CONVERGED = 0.02  # step over deviation
_NUDGE = 1e-5  # of the finite differences
_LATEST = 0.08  # s, of the latencies that are tried first
_FLOOR = 1e-7  # smallest deviation of a channel
_WIDTHS = np.array([parameter.width for parameter in PARAMETERS])


class Fit(NamedTuple):
    """Result of a fit."""

    start: QuadrotorParameters
    point: Array
    """(17,) point of the fit."""
    covariance: Array
    """(17, 17) of the point."""
    noise: dict[str, float]
    """Standard deviation of the residuals of each channel."""
    windows: int
    free: tuple[bool, ...]
    """Whether each parameter was fitted."""

    @property
    def values(self) -> Array:
        """(17,) values of the parameters."""
        return values_of(self.point)

    @property
    def intervals(self) -> Array:
        """(17, 2) 95 % intervals of the values."""
        reach = quantile(self.windows - SIZE) * np.sqrt(np.diag(self.covariance))
        return np.stack((values_of(self.point - reach), values_of(self.point + reach)), axis=1)


class _Step(NamedTuple):
    """Linearisation at a point."""

    cost: float
    curvature: Array
    """(17, 17), without the prior."""
    gradient: Array
    """(17,), without the prior."""
    scores: Array
    """(W, 17) gradient of each window."""
    sums: dict[str, tuple[float, int]]
    """Sum of squares and number of residuals of each channel."""
    inner: tuple[Array, Array, Array]
    """For the first states: inverse curvature (W, 9, 9), gradient (W, 9), coupling (W, 9, 17)."""


def fit(log: Log, start: QuadrotorParameters) -> Fit:
    """Parameters of a drone from its log, beginning with those of `start`.

    Raises LogError for a log that is too short.
    """
    windows = windows_of(log, start, WINDOW, WINDOW)
    if len(windows.place) < FEWEST:
        raise LogError(
            f"{log.path}: {len(windows.place)} windows of {WINDOW:g} s in flight; at least {FEWEST} are needed"
        )
    point, free = point_of(start), np.ones(SIZE, dtype=bool)
    if "velocity" not in windows.measured or "attitude" not in windows.measured:
        free[DRAG:LATENCY] = False
        point[DRAG:WIND] = 0.0
    return _fit(windows, start, point, free)


def _fit(windows: Windows, start: QuadrotorParameters, point: Array, free: Mask) -> Fit:
    prior, states = point.copy(), np.zeros((STATE, len(windows.place)))
    noise = dict.fromkeys(windows.measured, 1.0) | {"velocity": 0.1, "attitude": 0.03, "rate": 0.2}
    noise = {name: noise[name] for name in windows.measured}
    point[LATENCY] = _first_latency(windows, start, point, noise)
    damping, step = 1e-3, _linearised(windows, start, point, states, noise)
    for _ in range(_ITERATIONS):
        move = _move(step, point - prior, free, damping)
        inverse, pull, coupling = step.inner
        shift = -np.einsum("wij,wj->wi", inverse, pull + coupling @ move)
        trial_point, trial_states = point + move, states + shift.T
        trial = _linearised(windows, start, trial_point, trial_states, noise)
        if not _total(trial, trial_point - prior) <= _total(step, point - prior) * (1.0 + 1e-9):
            damping *= 8.0
            if damping > 1e6:
                break
            continue
        point, states, damping = trial_point, trial_states, max(damping / 8.0, 1e-9)
        new = _deviations(trial.sums, len(windows.place))
        settled = all(abs(math.log(new[name] / noise[name])) < 1e-2 for name in noise)
        noise = new
        step = _linearised(windows, start, point, states, noise)
        reach = np.sqrt(np.diag(_covariance(step, free)))
        if settled and bool((np.abs(move)[free] < _CONVERGED * reach[free]).all()):
            break
    return Fit(start, point, _covariance(step, free), noise, len(windows.place), tuple(map(bool, free)))


def _first_latency(windows: Windows, start: QuadrotorParameters, point: Array, noise: dict[str, float]) -> float:
    """The latency of a grid with the least cost after one step of the other parameters."""
    free, states = np.ones(SIZE, dtype=bool), np.zeros((STATE, len(windows.place)))
    free[LATENCY], costs = False, {}
    for number in range(round(_LATEST / windows.log.step) + 1):
        here = point.copy()
        here[LATENCY] = number * windows.log.step
        step = _linearised(windows, start, here, states, noise)
        move = _move(step, np.zeros(SIZE), free, 1e-2)
        inverse, pull, coupling = step.inner
        shift = -np.einsum("wij,wj->wi", inverse, pull + coupling @ move)
        costs[here[LATENCY]] = _cost(windows, start, here + move, states + shift.T, noise)
    return min(costs, key=lambda latency: costs[latency] if math.isfinite(costs[latency]) else math.inf)


def _cost(windows: Windows, start: QuadrotorParameters, point: Array, states: Array, noise: dict[str, float]) -> float:
    found = residuals(windows, point[None], states[:, None], start, [0])
    return float(sum(((values / noise[name]) ** 2).sum() for name, values in found.items()))


def _linearised(
    windows: Windows, start: QuadrotorParameters, point: Array, states: Array, noise: dict[str, float]
) -> _Step:
    """Residuals and their derivatives by forward differences, with the first states eliminated."""
    points = np.concatenate((point[None], point + _NUDGE * np.eye(SIZE)))
    variants = 1 + SIZE + STATE
    offsets = np.repeat(states[:, None], variants, axis=1)
    offsets[range(STATE), range(1 + SIZE, variants)] += _NUDGE
    shared = [*range(1 + SIZE), *(0,) * STATE]
    found = residuals(windows, points, offsets, start, shared)
    sums = {name: (float((v[:, :, 0] ** 2).sum()), v[:, :, 0].size) for name, v in found.items()}
    rows = np.concatenate(
        [(v / noise[name]).reshape(-1, variants, v.shape[-1]) for name, v in found.items()]
    ).transpose(2, 0, 1)
    at, slopes = rows[:, :, 0], (rows[:, :, 1:] - rows[:, :, :1]) / _NUDGE
    outer, inner = slopes[:, :, :SIZE], slopes[:, :, SIZE:]
    inverse = np.linalg.inv(inner.swapaxes(1, 2) @ inner + 1e-6 * np.eye(STATE))
    coupling, pull = inner.swapaxes(1, 2) @ outer, np.einsum("wmi,wm->wi", inner, at)
    scores = np.einsum("wmi,wm->wi", outer, at) - np.einsum("wji,wjk,wk->wi", coupling, inverse, pull)
    curvature = (outer.swapaxes(1, 2) @ outer).sum(axis=0)
    curvature = curvature - np.einsum("wji,wjk,wkl->il", coupling, inverse, coupling)
    return _Step(float((at**2).sum()), curvature, scores.sum(axis=0), scores, sums, (inverse, pull, coupling))


def _total(step: _Step, away: Array) -> float:
    """Cost with the prior."""
    total = step.cost + float(((away / _WIDTHS) ** 2).sum())
    return total if math.isfinite(total) else math.inf


def _move(step: _Step, away: Array, free: Mask, damping: float) -> Array:
    """Damped Gauss-Newton step (17,) of the free parameters."""
    matrix = step.curvature + np.diag(1.0 / _WIDTHS**2)
    matrix = matrix + damping * np.diag(np.diag(matrix))
    move = np.zeros(SIZE)
    move[free] = -np.linalg.solve(matrix[np.ix_(free, free)], (step.gradient + away / _WIDTHS**2)[free])
    largest = np.abs(move / _WIDTHS).max()
    return move / max(1.0, largest)


def _deviations(sums: dict[str, tuple[float, int]], windows: int) -> dict[str, float]:
    """Deviation of each channel; the degrees of freedom that the fit takes are shared by size."""
    number = sum(count for _, count in sums.values())
    left = max(0.1, 1.0 - (STATE * windows + SIZE) / number)
    return {name: max(_FLOOR, math.sqrt(total / (count * left))) for name, (total, count) in sums.items()}


def _covariance(step: _Step, free: Mask) -> Array:
    """Covariance of the point; the prior's for what was not fitted."""
    matrix = step.curvature + np.diag(1.0 / _WIDTHS**2)
    white = np.zeros((SIZE, SIZE))
    white[np.ix_(free, free)] = np.linalg.inv(matrix[np.ix_(free, free)])
    windows = len(step.scores)
    meat = step.scores.T @ step.scores * (windows / max(1.0, windows - float(free.sum())))
    clustered = white @ meat @ white
    growth = np.sqrt(np.maximum(1.0, np.diag(clustered) / np.maximum(np.diag(white), 1e-300)))
    white = white * growth[:, None] * growth[None, :]
    return white + np.diag(np.where(free, 0.0, _WIDTHS**2))


def quantile(freedom: int) -> float:
    """97.5 % quantile of Student's t, by the expansion of Cornish and Fisher in 1 / freedom."""
    z, n = 1.959963985, max(2.0, float(freedom))
    return z + (z**3 + z) / (4.0 * n) + (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / (96.0 * n * n)
