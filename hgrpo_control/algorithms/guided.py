"""Hybrid GRPO on guided rollouts: importance weights, and the batch that they make (eq. 18).

sampling/guided_sampler.py draws such rollouts; `Rollout.weight` has their weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hgrpo_control.algorithms import hybrid_grpo
from hgrpo_control.algorithms.advantages import BranchAdvantages
from hgrpo_control.algorithms.batch import Batch, by_row, flatten
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import HybridGRPO
from hgrpo_control.ranks.ranks import ALONE, Ranks


def make_batch(rollout: Rollout, weight: Tensor, config: HybridGRPO, ranks: Ranks = ALONE) -> Batch:
    """Rollout to batch with importance weights.

    Args:
        rollout: Its reward is already f(R).
        weight: (T, E, N) importance weights; they count in the loss and in the mean of each root.
        config: gamma, lambda and the estimator.
        ranks: Processes of the run.
    """
    estimate = _estimate(rollout, weight, config, ranks)
    return flatten(rollout, estimate.advantage, weight, estimate.value_target)


def action_value_target(rollout: Rollout, weight: Tensor, config: HybridGRPO, ranks: Ranks = ALONE) -> Tensor:
    """(R, M) regression target of Q for each action in the batch; arguments as for `make_batch`."""
    return by_row(rollout, _estimate(rollout, weight, config, ranks).action_value_target)


def _estimate(rollout: Rollout, weight: Tensor, config: HybridGRPO, ranks: Ranks) -> BranchAdvantages:
    root_weight = averaging_weights(weight[:: rollout.branch_length], ranks)
    return hybrid_grpo.estimate_advantages(rollout, config, root_weight, ranks)


def guided_count(num_samples: int) -> int:
    """Number of guided samples among N: floor(N / 2), the last ones."""
    return num_samples // 2


def effective_sample_size(weight: Tensor, ranks: Ranks = ALONE) -> float:
    """(sum w)^2 / (number sum w^2) over all processes: 1 for equal weights, 1 / number if only one counts."""
    total, squares = ranks.sum(torch.stack((weight.sum(), weight.square().sum()))).unbind()
    return (total.square() / (squares * (weight.numel() * ranks.size))).item()


def averaging_weights(weight: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Weights v (..., N) for which mean_i v_i x_i estimates a mean under pi.

    `weight` (..., N) are importance weights, of which the last K = floor(N / 2) belong to resampled actions.

    K weighted samples are worth e K unweighted ones, e being their effective sample size over all groups. So they get e
    w and the others 1, all times N / (N - K + e K). This has the least variance if w and x are independent.
    """
    number = weight.shape[-1]
    guided = guided_count(number)
    worth = effective_sample_size(weight[..., number - guided :], ranks)
    share = torch.ones(number, dtype=weight.dtype, device=weight.device)
    share[number - guided :] = worth
    return weight * share * (number / (number - guided + worth * guided))
