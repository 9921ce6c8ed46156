"""Hybrid GRPO: bootstrapped returns of N branches, compared within the group (eq. 10-16)."""

from __future__ import annotations

import torch
from torch import Tensor

from hgrpo_control.algorithms import advantages
from hgrpo_control.algorithms.advantages import BranchAdvantages
from hgrpo_control.algorithms.batch import Batch, flatten
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import HybridGRPO
from hgrpo_control.ranks.ranks import ALONE, Ranks


def make_batch(rollout: Rollout, config: HybridGRPO, ranks: Ranks = ALONE) -> Batch:
    """Rollout to batch by the chosen estimator.

    N = 1 gives PPO's batch, in one process bit for bit. Raises ValueError if the rollout was drawn without a critic.
    """
    estimate = estimate_advantages(rollout, config, ranks=ranks)
    return flatten(rollout, estimate.advantage, torch.ones_like(rollout.reward), estimate.value_target)


def estimate_advantages(
    rollout: Rollout, config: HybridGRPO, root_weight: Tensor | None = None, ranks: Ranks = ALONE
) -> BranchAdvantages:
    """Advantages and value targets of a rollout.

    Args:
        rollout: Its reward is already f(R).
        config: gamma, lambda and the estimator.
        root_weight: (K, E, N) weights of the samples in the mean of their root; None for equal ones.
        ranks: Processes over whose roots the correlation of siblings is measured.

    Raises ValueError if the rollout was drawn without a critic.
    """
    if rollout.value is None or rollout.next_value is None:
        raise ValueError("Hybrid GRPO needs a policy with a critic")
    delta = advantages.td_error(rollout.reward, rollout.value, rollout.next_value, rollout.terminated, config.gamma)
    return advantages.hybrid(
        delta,
        rollout.value,
        rollout.done,
        config.gamma,
        config.gae_lambda,
        rollout.branch_length,
        config.estimator,
        root_weight,
        ranks,
    )
