"""Diagnostics of a batch: spread of siblings, and variance of advantages.

Pure functions, NaN where there is nothing to measure.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hgrpo_control import algorithms
from hgrpo_control.algorithms.advantages import discounted_sum
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.group_advantages import varies
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import Algorithm
from hgrpo_control.ranks.ranks import ALONE, Ranks


def compute_diagnostics(rollout: Rollout, batch: Batch, algorithm: Algorithm, ranks: Ranks = ALONE) -> dict[str, float]:
    """Figures of the comparison of siblings, in units of f(R).

    `group_spread`: mean over groups of the standard deviation of the branches' outcomes; NaN for one branch per root.
    `zero_variance_groups`: share of groups whose outcomes are all equal; NaN for one branch per root.
    `advantage_variance_before`: variance of L_{i,j} with its tails, before siblings are compared; NaN for GRPO, which
    has no L.
    `advantage_variance`: variance of the advantages in the batch, before they are standardised.

    Args:
        rollout: Holds f(R) for its reward.
        batch: Made from the rollout by `algorithm`.
        algorithm: Its settings.
        ranks: Processes over whose groups and samples the figures run.
    """
    outcome = branch_outcomes(rollout.reward, rollout.done, algorithm.gamma, rollout.branch_length)
    size = branch_outcomes(rollout.reward.abs(), rollout.done, algorithm.gamma, rollout.branch_length)
    after = before = advantage_variance(batch.advantage, batch.weight, ranks)
    uncompared = algorithm.uncompared
    if uncompared is None:
        before = math.nan
    elif uncompared != algorithm:
        alone = algorithms.make_batch(rollout, uncompared, ranks)
        before = advantage_variance(alone.advantage, alone.weight, ranks)
    return {
        "group_spread": group_spread(outcome, ranks),
        "zero_variance_groups": zero_variance_groups(outcome, size, ranks),
        "advantage_variance_before": before,
        "advantage_variance": after,
    }


def branch_outcomes(reward: Tensor, done: Tensor, gamma: float, branch_length: int) -> Tensor:
    """Discounted sum of reward over the first episode of each branch.

    Args:
        reward: (T, E, N).
        done: (T, E, N) bool.
        gamma: Discount per step.
        branch_length: n, divides T.

    Returns (K, E, N), K = T / n.
    """
    by_step, ends = (x.unflatten(0, (-1, branch_length)).transpose(0, 1) for x in (reward, done))
    return discounted_sum(by_step, ends, gamma)[0]


def group_spread(outcome: Tensor, ranks: Ranks = ALONE) -> float:
    """Mean over groups of the standard deviation of their outcomes (..., N).

    NaN for N = 1.
    """
    if outcome.shape[-1] < 2:
        return math.nan
    return ranks.mean(outcome.double().std(-1, correction=0).mean()).item()


def zero_variance_groups(outcome: Tensor, size: Tensor, ranks: Ranks = ALONE) -> float:
    """Share of groups whose outcomes (..., N) differ by no more than rounding.

    `size` (..., N) are the outcomes if every reward were positive; their rounding is that of the outcomes. NaN for N =
    1.
    """
    if outcome.shape[-1] < 2:
        return math.nan
    rounding = 8.0 * torch.finfo(outcome.dtype).eps * size.amax(-1, keepdim=True)
    differ = varies(outcome, torch.ones_like(outcome, dtype=torch.bool), rounding)
    return 1.0 - ranks.mean(differ.double().mean()).item()


def advantage_variance(advantage: Tensor, weight: Tensor, ranks: Ranks = ALONE) -> float:
    """Variance over the samples of weight above 0; NaN where there are none.

    `advantage` and `weight` have one shape.
    """
    return ranks.variance(advantage[weight > 0.0].double()).item()
