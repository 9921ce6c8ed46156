"""Hybrid GRPO: bootstrapped returns of N branches from one state, compared within the group (paper eq. 10-16)."""

from __future__ import annotations

import torch

from hgrpo_control.algorithms import advantages
from hgrpo_control.algorithms.batch import Batch, flatten
from hgrpo_control.algorithms.importance import averaging_weights
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import HybridGRPO


def batch(rollout: Rollout, config: HybridGRPO) -> Batch:
    """Rollout to batch by the chosen estimator; N = 1 gives PPO's batch, in one process bit for bit.

    Where samples were guided (eq. 18) their importance weights are the batch's, and Q gets its targets.
    Raises ValueError if the rollout was drawn without a critic.
    """
    if rollout.value is None or rollout.next_value is None:
        raise ValueError("Hybrid GRPO needs a policy with a critic")
    delta = advantages.td_error(rollout.reward, rollout.value, rollout.next_value, rollout.terminated, config.gamma)
    weight, root_weight = torch.ones_like(rollout.reward), None
    if rollout.importance is not None:
        weight = rollout.importance
        root_weight = averaging_weights(weight[:: rollout.branch_length])
    estimate = advantages.hybrid(
        delta,
        rollout.value,
        rollout.done,
        config.gamma,
        config.gae_lambda,
        rollout.branch_length,
        config.estimator,
        root_weight,
    )
    action_value_target = None if rollout.importance is None else estimate.action_value_target
    return flatten(rollout, estimate.advantage, weight, estimate.value_target, action_value_target)
