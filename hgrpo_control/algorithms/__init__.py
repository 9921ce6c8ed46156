"""PPO, GRPO and Hybrid GRPO: three readings of the same rollout, one file each."""

from __future__ import annotations

from hgrpo_control.algorithms import grpo, guided, hybrid_grpo, ppo
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm
from hgrpo_control.ranks.ranks import ALONE, Ranks

__all__ = ["grpo", "guided", "hybrid_grpo", "make_batch", "ppo"]


def make_batch(rollout: Rollout, algorithm: Algorithm, ranks: Ranks = ALONE) -> Batch:
    """Batch of a rollout, its reward already f(R), by the algorithm whose settings are given.

    What an algorithm measures over all roots, it measures over the roots of all processes.
    """
    if isinstance(algorithm, PPO):
        return ppo.make_batch(rollout, algorithm)
    if isinstance(algorithm, GRPO):
        return grpo.make_batch(rollout, algorithm, ranks)
    if rollout.weight is not None:
        return guided.make_batch(rollout, rollout.weight, algorithm, ranks)
    return hybrid_grpo.make_batch(rollout, algorithm, ranks)
