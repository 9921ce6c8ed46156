"""What a batch says about the comparison it was made by and about the noise in its gradient: pure functions, NaN where
there is nothing to measure."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from hgrpo_control import algorithms
from hgrpo_control.algorithms.advantages import discounted_sum
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.group_advantages import varies
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import Algorithm


class Instruments(NamedTuple):
    """One reading; all in units of f(R)."""

    group_spread: float
    """Mean over groups of the standard deviation of the branches' outcomes; NaN for one branch per root."""
    zero_variance_groups: float
    """Share of groups that compare nothing, because all their outcomes are equal; NaN for one branch per root."""
    advantage_variance_before: float
    """Variance of L_{i,j} with its tails, before siblings are compared; NaN for GRPO, which has no L."""
    advantage_variance: float
    """Variance of the advantages in the batch, before they are standardised."""


def measure(rollout: Rollout, batch: Batch, algorithm: Algorithm) -> Instruments:
    """Read all instruments off a rollout, its reward transformed, and the batch that the algorithm made of it."""
    outcome = branch_outcomes(rollout.reward, rollout.done, algorithm.gamma, rollout.branch_length)
    after = before = advantage_variance(batch.advantage, batch.weight)
    uncompared = algorithm.uncompared
    if uncompared is None:
        before = math.nan
    elif uncompared != algorithm:
        alone = algorithms.batch(rollout, uncompared)
        before = advantage_variance(alone.advantage, alone.weight)
    size = branch_outcomes(rollout.reward.abs(), rollout.done, algorithm.gamma, rollout.branch_length)
    return Instruments(group_spread(outcome), zero_variance_groups(outcome, size), before, after)


def branch_outcomes(reward: Tensor, done: Tensor, gamma: float, branch_length: int) -> Tensor:
    """(K, E, N) discounted sum of reward over the first episode of each branch; reward and done (T, E, N), K = T /
    n."""
    by_step, ends = (x.unflatten(0, (-1, branch_length)).transpose(0, 1) for x in (reward, done))
    return discounted_sum(by_step, ends, gamma)[0]


def group_spread(outcome: Tensor) -> float:
    """Mean over groups (...) of the standard deviation over the N outcomes (..., N) of each; NaN for N = 1."""
    if outcome.shape[-1] < 2:
        return math.nan
    return outcome.double().std(-1, correction=0).mean().item()


def zero_variance_groups(outcome: Tensor, size: Tensor) -> float:
    """Share of groups whose N outcomes (..., N) differ by no more than rounding; NaN for N = 1.

    `size` (..., N) is what the outcomes would be if every reward were positive, by which their rounding goes.
    """
    if outcome.shape[-1] < 2:
        return math.nan
    rounding = 8.0 * torch.finfo(outcome.dtype).eps * size.amax(-1, keepdim=True)
    differ = varies(outcome, torch.ones_like(outcome, dtype=torch.bool), rounding)
    return 1.0 - differ.double().mean().item()


def advantage_variance(advantage: Tensor, weight: Tensor) -> float:
    """Variance over the samples of weight above 0, advantage and weight of one shape; NaN where none counts."""
    counted = advantage[weight > 0.0].double()
    return counted.var(correction=0).item() if len(counted) else math.nan
