"""PPO: one sample per state, generalised advantage estimation (paper eq. 1-4)."""

from __future__ import annotations

import torch

from hgrpo_control.algorithms import advantages
from hgrpo_control.algorithms.batch import Batch, flatten
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import PPO


def make_batch(rollout: Rollout, config: PPO) -> Batch:
    """Rollout with N = 1 to batch: A = GAE(gamma, lambda), value target V + A.

    Raises ValueError if the rollout was branched or drawn without a critic.
    """
    if rollout.action.shape[2] != 1 or rollout.value is None or rollout.next_value is None:
        raise ValueError(f"PPO needs one sample per root and a critic; given {rollout.action.shape[2]} samples")
    delta = advantages.td_error(rollout.reward, rollout.value, rollout.next_value, rollout.terminated, config.gamma)
    advantage = advantages.gae(delta, rollout.done, config.gamma, config.gae_lambda)
    return flatten(rollout, advantage, torch.ones_like(advantage), rollout.value + advantage)
