"""Advantage estimators of PPO and Hybrid GRPO as pure functions; those of GRPO: group_advantages.py.

Shapes: T steps, E roots, N samples; a branch is n consecutive steps, K = T / n branches follow one another. delta is
the temporal-difference error r + gamma (1 - terminated) V(s') - V(s), and L the lambda-weighted sum of delta inside a
branch. Equation numbers are those of the Hybrid GRPO paper (2025).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hgrpo_control.ranks.ranks import ALONE, Ranks


class BranchAdvantages(NamedTuple):
    """Advantages and regression targets of a rollout."""

    advantage: Tensor
    """(T, E, N)."""
    value_target: Tensor
    """(T, E, N) what V of each sample's observation is regressed on."""
    action_value_target: Tensor
    """(T, E, N) what Q of each sample's observation and action may be regressed on."""


def td_error(reward: Tensor, value: Tensor, next_value: Tensor, terminated: Tensor, gamma: float) -> Tensor:
    """delta = r + gamma (1 - terminated) V(s') - V(s), the bracket of eq. 2 and 13.

    A step cut by the time limit is not terminated: it bootstraps V of its final observation.

    Args:
        reward: (..., N).
        value: (..., N), or (..., 1) where samples share an observation.
        next_value: (..., N).
        terminated: (..., N) bool.
        gamma: Discount per step.

    Returns (..., N).
    """
    return reward + gamma * torch.where(terminated, 0.0, next_value) - value


def discounted_sum(x: Tensor, done: Tensor, factor: float, carry: Tensor | float = 0.0) -> Tensor:
    """y_j = x_j + factor (1 - done_j) y_{j+1} along the first dimension, y_n = carry.

    Args:
        x: (n, ...).
        done: (n, ...) bool.
        factor: Discount per step.
        carry: (...) or a number.

    Returns (n, ...).
    """
    y = torch.empty_like(x)
    following = torch.as_tensor(carry, dtype=x.dtype, device=x.device)
    keep = factor * (~done).to(x.dtype)
    for j in range(x.shape[0] - 1, -1, -1):
        following = x[j] + keep[j] * following
        y[j] = following
    return y


def gae(delta: Tensor, done: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """Generalised advantage estimate: sum of (gamma lambda)^l delta, cut at done.

    Args:
        delta: (T, ...) temporal-difference errors.
        done: (T, ...) bool.
        gamma: Discount per step.
        gae_lambda: 0 is eq. 2.

    Returns (T, ...).
    """
    return discounted_sum(delta, done, gamma * gae_lambda)


def first_episode(done: Tensor) -> Tensor:
    """(n, ...) bool: steps of the first episode of a branch, its last one included."""
    return done.cumsum(dim=0, dtype=torch.int32) == done


def leave_one_out_baseline(x: Tensor, counts: Tensor) -> Tensor:
    """(..., N) mean of the siblings of each sample that count; 0 where none does.

    `counts` (..., N) bool is true for the samples x (..., N) that count; the others get 0. A sample's own value is not
    in its baseline, so the baseline is independent of its action and adds no bias to the policy gradient.
    """
    # Measured from the executed sample, equal values give exact equality after rounding.
    reference = x[..., :1]
    shifted = torch.where(counts, x - reference, 0.0)
    siblings = counts.sum(-1, keepdim=True, dtype=x.dtype) - counts.to(x.dtype)
    mean = (shifted.sum(-1, keepdim=True) - shifted) / siblings.clamp_min(1)
    return torch.where(counts & (siblings > 0), mean + reference, 0.0)


def shrunk_baseline(x: Tensor, counts: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Leave-one-out baseline, shrunk by the measured correlation of siblings.

    x and counts are (n, ..., E, N); each step and root has one weight.

    With rho = E[x_i x_m] / E[x^2] over pairs of siblings at one step of a branch, the mean of M siblings predicts a
    sample with the least squared error when weighted by c = M rho / (1 + (M - 1) rho). Siblings that share nothing
    (rho = 0) would add Var / M to every sample at full weight, and add nothing here; those that share everything
    (rho = 1) have full weight.

    rho is estimated over the groups of all other roots, those of other processes included, so that nothing in a
    baseline depends on its own sample. With the own group in it, the weight would rise with the sample, and E roots of
    2 samples would lose (1 - rho^2) / E of the gradient. A single root takes its other branches, and a single group, of
    which nothing is known, rho = 0.
    """
    rho = _correlation(x, counts, ranks).to(x.dtype)
    siblings = counts.sum(-1, keepdim=True, dtype=x.dtype) - counts.to(x.dtype)
    weight = siblings * rho / (1.0 + (siblings - 1) * rho).clamp_min(torch.finfo(x.dtype).eps)
    return weight * leave_one_out_baseline(x, counts)


def _correlation(x: Tensor, counts: Tensor, ranks: Ranks) -> Tensor:
    """rho of shrunk_baseline (n, ..., E, 1) in float64."""
    counted = torch.where(counts, x, 0.0).double()  # sums without one root must keep their digits
    members = counts.sum(-1, keepdim=True)
    squares = counted.square().sum(-1, keepdim=True)
    products = counted.sum(-1, keepdim=True).square() - squares  # over ordered pairs of different siblings
    pairs = members * (members - 1)
    square, product, number, pairs = (_over_others(m, ranks) for m in (squares, products, members, pairs))
    mean_square = (square / number.clamp_min(1)).clamp_min(torch.finfo(x.dtype).tiny)
    return (product / pairs.clamp_min(1) / mean_square).clamp(0.0, 1.0)


def _over_others(m: Tensor, ranks: Ranks) -> Tensor:
    """Sums of m (n, ..., E, 1) over the other roots; of a single root over its other groups."""
    over = tuple(range(1, m.dim() - 1))
    own = m.sum(over[:-1], keepdim=True) if m.shape[-2] * ranks.size > 1 and over[:-1] else m
    return ranks.sum(m.sum(over, keepdim=True)) - own


def hybrid(
    delta: Tensor,
    value: Tensor,
    done: Tensor,
    gamma: float,
    gae_lambda: float,
    branch_length: int,
    estimator: str,
    root_weight: Tensor | None = None,
    ranks: Ranks = ALONE,
) -> BranchAdvantages:
    """Hybrid GRPO advantages and value targets from TD errors.

    Inside branch k, L_{i,j} sums (gamma lambda)^{l-j} delta_{i,l} of sample i from step j. With A(k) = mean_i L_{i,0}
    (eq. 13; eq. 16 for n > 1 and lambda = 1), G_k = A(k) + (gamma lambda)^n alive G_{k+1} continues the executed sample
    0 beyond its branch. Estimators:

    - `paper`: eq. 13/16 as printed, with lambda = 1: every sample and step of a macro-step gets A(k).
    - `per_sample`: A_{i,j} = L_{i,j}; the group mean at j = 0 is eq. 13 exactly.
    - `group`: A_{i,j} = L_{i,j} - mean of L_{m,j} over siblings m that, like i, are still in their first episode.
    - `group_shrunk`: the same with the baseline shrunk by how much siblings share, see `shrunk_baseline`.

    In all but `paper` the executed sample gains its tail N (gamma lambda)^{n-j} G_{k+1}; the weight N undoes the loss's
    averaging over N samples. Value targets: V + G_k for a root, V + L_{i,j} + tail without the weight elsewhere; that
    of Q is the latter everywhere.

    Args:
        delta: (T, E, N).
        value: (T, E, N), or (T, E, 1) where samples share an observation.
        done: (T, E, N) bool.
        gamma: Discount per step.
        gae_lambda: lambda.
        branch_length: n, divides T.
        estimator: `paper`, `per_sample`, `group` or `group_shrunk`.
        root_weight: (K, E, N) weights v in A(k) = mean_i v_i L_{i,0}, for first actions that were not drawn from pi.
            They make G_k an estimate for pi again. Advantages are not weighted: the loss weighs each sample once, and
            baselines need not be those of pi.
        ranks: Processes of the run, for `group_shrunk`.

    Raises ValueError for an unknown estimator.
    """
    n = branch_length
    delta, done_k = (x.unflatten(0, (-1, n)) for x in (delta, done))
    factor = gamma * gae_lambda
    by_step = (delta.transpose(0, 1), done_k.transpose(0, 1))
    inside = discounted_sum(*by_step, factor).transpose(0, 1)  # L, (K, n, E, N)
    advantage, target, roots = _with_tails(inside, delta, done_k, factor, root_weight)
    if estimator == "paper":
        plain = discounted_sum(*by_step, gamma).transpose(0, 1)
        advantage = plain[:, :1].mean(-1, keepdim=True).expand_as(plain)
    elif estimator in ("group", "group_shrunk"):
        first = first_episode(by_step[1])
        compared = inside.transpose(0, 1), first
        baseline = leave_one_out_baseline(*compared) if estimator == "group" else shrunk_baseline(*compared, ranks)
        advantage -= baseline.transpose(0, 1)
    elif estimator != "per_sample":
        raise ValueError(f"unknown estimator {estimator!r}; allowed: group, group_shrunk, per_sample, paper")
    value_target = torch.cat((roots.unsqueeze(1).expand_as(target[:, :1]), target[:, 1:]), dim=1)
    return BranchAdvantages(advantage.flatten(0, 1), *(x.flatten(0, 1).add_(value) for x in (value_target, target)))


def _with_tails(
    inside: Tensor, delta: Tensor, done: Tensor, factor: float, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """L with sample 0 continued beyond its branch.

    `weight` (K, E, N) are the samples' weights in the mean of their root; None for equal ones. Returns L for advantages
    (tail weighted by N) and for value targets (tail unweighted), both (K, n, E, N), and G_k of the roots (K, E, 1).
    """
    advantage, target = inside.clone(), inside.clone()
    roots = torch.empty_like(inside[:, 0, :, :1])
    following = torch.zeros_like(roots[0, :, 0])  # G_{k+1}; 0 beyond the rollout
    for k in range(inside.shape[0] - 1, -1, -1):
        executed = (delta[k, :, :, 0], done[k, :, :, 0], factor)
        advantage[k, :, :, 0] = discounted_sum(*executed, carry=inside.shape[-1] * following)
        target[k, :, :, 0] = discounted_sum(*executed, carry=following)
        if weight is None:
            # The mean of L with the weighted tail of sample 0 is A(k) plus the plain tail.
            roots[k] = advantage[k, 0].mean(-1, keepdim=True)
        else:
            tail = target[k, 0] - inside[k, 0]  # of sample 0; zero for the others
            roots[k] = (weight[k] * inside[k, 0]).mean(-1, keepdim=True) + tail[:, :1]
        following = roots[k, :, 0]
    return advantage, target, roots
