"""From an algorithm's settings to its reading of a rollout."""

from __future__ import annotations

from hgrpo_control.algorithms import grpo, hybrid_grpo, ppo
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm


def batch(rollout: Rollout, algorithm: Algorithm) -> Batch:
    """Batch of a rollout by the algorithm whose settings are given; the rollout's reward is taken as f(R), see
    rewards.py."""
    if isinstance(algorithm, PPO):
        return ppo.batch(rollout, algorithm)
    if isinstance(algorithm, GRPO):
        return grpo.batch(rollout, algorithm)
    return hybrid_grpo.batch(rollout, algorithm)
