"""PPO, GRPO and Hybrid GRPO: three readings of the same rollout, one file each."""

from __future__ import annotations

from hgrpo_control.algorithms import grpo, hybrid_grpo, ppo
from hgrpo_control.algorithms.dispatch import batch

__all__ = ["batch", "grpo", "hybrid_grpo", "ppo"]
