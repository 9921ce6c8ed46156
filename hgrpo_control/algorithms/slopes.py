"""First-order policy gradients: slopes, scores, and their mix.

A sample acts a = mu(s) + sigma eps. Two terms estimate, per step and action entry, the derivative of the expected
return by mu: the score A eps / sigma with the advantage A (Williams, 1992), and the slope lambda = dR/da of the
sample's own return (Heess et al., 2015). Both are wishes: directions for mu, here in units of sigma. With w = alpha
sigma lambda + (1 - alpha) A eps, the gradient of the policy is the mean of w . d mu / d theta / sigma. For log sigma
the same derivation gives alpha sigma lambda eps + (1 - alpha) A (eps^2 - 1).

The score's variance does not shrink with a longer branch; the slope's is small, but it cannot see events: a crash, or a
gate that is missed, has no derivative. So where they differ on average, the slope is biased.

Shapes: T steps, E roots, N samples, A action entries; a branch is n consecutive steps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hgrpo_control.algorithms.batch import Batch, by_row
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.ranks.ranks import ALONE, Ranks

_ROUNDS = 16
"""Steps of Newton's method; few are needed."""


class Moments(NamedTuple):
    """How far score and slope can be trusted, per step of a branch and action entry; (n, A) each."""

    score: Tensor
    """Variance of the score A eps between siblings."""
    slope: Tensor
    """Variance of the slope sigma lambda between siblings."""
    covariance: Tensor
    """Covariance of the two between siblings: both read the same noise."""
    bias: Tensor
    """Squared difference of their means beyond its own variance; below 0 by chance."""


def sibling_moments(score: Tensor, slope: Tensor, branch_length: int, ranks: Ranks = ALONE) -> Moments:
    """Variances of score and slope between siblings, and the square of their difference.

    With d = score - slope of N siblings, E[(mean d)^2] = (E d)^2 + Var(d) / N, so (mean d)^2 - Var(d) / N is an
    unbiased estimate of the squared bias at a root. All are means over roots and branches. A single sample has no
    siblings; the samples of the other roots take their place, and what differs between states counts as variance.

    Args:
        score: (T, E, N, A) A eps.
        slope: (T, E, N, A) sigma lambda.
        branch_length: n, divides T.
        ranks: Processes over whose roots the means run.

    Raises ValueError for a single sample of a single root.
    """
    of = ALONE  # siblings are in one process
    if score.shape[2] == 1:
        score, slope, of = score.transpose(1, 2), slope.transpose(1, 2), ranks
    samples = score.shape[2] * of.size
    if samples < 2:
        raise ValueError("variances need two samples or two roots; given one sample of one root")
    difference = score - slope
    of_score, of_slope, of_difference = (of.variance(x, 2, correction=1) for x in (score, slope, difference))
    covariance = 0.5 * (of_score + of_slope - of_difference)
    bias = of.mean(difference.mean(2)).square() - of_difference / samples
    parts = (of_score, of_slope, covariance, bias)
    return Moments(*(ranks.mean(x.unflatten(0, (-1, branch_length)).mean((0, 2))) for x in parts))


def best_share(moments: Moments, samples: float) -> Tensor:
    """alpha (n, A) with the least mean squared error of a mean over `samples` samples.

    The mean of alpha slope + (1 - alpha) score over M samples has the squared error alpha^2 b^2 + (alpha^2 v_1 + 2
    alpha (1 - alpha) c + (1 - alpha)^2 v_0) / M, for a score of variance v_0 without bias, a slope of variance v_1 and
    bias b, and their covariance c. Within [0, 1] it is least for alpha = (v_0 - c) / (v_0 + v_1 - 2 c + M b^2). Without
    any variance and bias alpha is 1. b^2 is the mean over steps and entries: an estimate at one of them is mostly
    noise, of which only the part above 0 would count.
    """
    score, slope, covariance, bias = moments
    total = score + slope - 2.0 * covariance + samples * bias.mean().clamp_min(0.0)
    return torch.where(total > 0.0, (score - covariance) / total, 1.0).clamp(0.0, 1.0)


def wishes(advantage: Tensor, noise: Tensor, slope: Tensor, share: Tensor) -> Tensor:
    """Directions for the mean and for log sigma, in units of the return.

    Args:
        advantage: (T, E, N) A.
        noise: (T, E, N, A) eps.
        slope: (T, E, N, A) sigma lambda.
        share: (n, A) alpha of each step of a branch.

    Returns (T, E, N, 2, A).
    """
    alpha = share.repeat(len(noise) // len(share), 1).unsqueeze(1).unsqueeze(1)
    advantage = advantage.unsqueeze(-1)
    by_mean = alpha * slope + (1.0 - alpha) * advantage * noise
    by_sigma = alpha * slope * noise + (1.0 - alpha) * advantage * (noise.square() - 1.0)
    return torch.stack((by_mean, by_sigma), dim=-2)


def scaled(wish: Tensor, limit: float, ranks: Ranks = ALONE) -> Tensor:
    """Wishes (T, E, N, 2, A) with directions for the mean of mean length 1 over all processes, none above `limit`.

    A longer direction is scaled down to `limit`. So the unit u solves u = mean of min(length, limit u). In a plain mean
    of the lengths a few slopes that grew exponentially through time would leave nothing of all the others.
    """
    # In float32 the squares of long directions overflow.
    length = torch.linalg.vector_norm(wish[..., 0, :], dim=-1, keepdim=True, dtype=torch.float64)
    unit = ranks.mean(length.mean())
    for _ in range(_ROUNDS):  # Newton's method from above, exact as soon as the same directions are cut again
        short = length < limit * unit
        kept, share = ranks.mean(torch.stack((torch.where(short, length, 0.0).mean(), short.to(length.dtype).mean())))
        unit = kept / (1.0 - limit * (1.0 - share))
    unit = torch.maximum(unit, length / limit).clamp_min(torch.finfo(wish.dtype).tiny)
    return (wish / unit.unsqueeze(-1)).to(wish.dtype)


def with_wishes(batch: Batch, rollout: Rollout, wish: Tensor, sigma: Tensor) -> Batch:
    """A batch that follows wishes, multiplied by the weights of its samples.

    Args:
        batch: Made from the rollout.
        rollout: With slopes.
        wish: (T, E, N, 2, A).
        sigma: (A,) of the policy that acted.

    Raises ValueError for a rollout without slopes.
    """
    if rollout.noise is None:
        raise ValueError("the rollout has no slopes")
    wish = wish * batch.weight.view_as(rollout.reward).unsqueeze(-1).unsqueeze(-1)
    mean = (batch.action - sigma * by_row(rollout, rollout.noise))[:, 0]
    return batch._replace(wish=by_row(rollout, wish), old=torch.stack((mean, sigma.expand_as(mean)), dim=1))
