"""Presets of the hover tasks of gym-pybullet-drones; a rollout is one episode of every environment.

The reward is max(0, 2 - d^4), with d the distance to the target [m]. Nearly all of a return is the constant 2, and the
error of a critic is larger than the gain of a good start. Hybrid GRPO therefore has lambda 1: the error then shifts all
advantages and does not change their order. The documented return needs full thrust for the first half of the way, so
exploration starts as wide as the action bounds. Simulator steps are slow, so each batch gets many gradient steps.
"""

from __future__ import annotations

import dataclasses

from hgrpo_control.config.algorithms import PPO, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config

_PPO = Config(
    task="",
    algorithm=PPO(gamma=0.95, gae_lambda=0.95, reward_transform="scale"),
    total_steps=130 * 7_744,
    num_envs=32,
    rollout_steps=242,
    network=Network(hidden_sizes=(64, 64), init_sigma=1.0),
    learning=Learning(learning_rate=1e-3, update_epochs=10, num_minibatches=16),
)
_HYBRID = dataclasses.replace(
    _PPO,
    algorithm=HybridGRPO(num_samples=2, gamma=0.97, gae_lambda=1.0, estimator="group_shrunk", reward_transform="scale"),
    num_envs=16,
)

HOVER_TASKS = ("gpd/HoverAviary", "gpd/MultiHoverAviary")
ON_HOVER_AVIARIES: dict[str, Config] = {"ppo": _PPO, "hybrid-grpo": _HYBRID}
"""Settings per algorithm; the name of the task is empty."""
