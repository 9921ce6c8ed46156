"""Settings for the hover tasks of gym-pybullet-drones, where a rollout is one episode of every environment.

Two things about the reward max(0, 2 - d^4), d the distance [m] to the target, decide them. Nearly all of a return is
the constant 2, beside which a critic's error is larger than what a good start gains: Hybrid GRPO has lambda 1, with
which that error shifts advantages and orders none. And nothing but full thrust until halfway reaches the documented
return, so exploration starts as wide as the bounds and many gradient steps are taken on each costly simulator step.
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
"""Per algorithm, with the task's name left to be filled in."""
