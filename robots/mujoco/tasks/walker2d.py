"""Walker2d-v5: walk forward on two legs, in a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from robots.mujoco.initial_noise import uniform
from robots.mujoco.quantities import joint_quantities
from robots.mujoco.readout import Outcome, Readout, squared_sum
from robots.mujoco.robot import Robot, View
from robots.simulator import Quantity


@dataclass(frozen=True)
class Walker2d(Robot):
    """Reward: velocity along x + healthy_reward - ctrl_cost_weight * |action|^2; a fall ends the episode."""

    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 1e-3
    healthy_reward: float = 1.0
    reset_noise_scale: float = 5e-3

    model_file: ClassVar[str] = "walker2d_v5.xml"
    frame_skip: ClassVar[int] = 4
    max_episode_steps: ClassVar[int] = 1000
    view: ClassVar[View] = View(distance=3.4, follow="x", lookat=(0.0, 0.0, 0.7))

    def observe(self, now: Readout) -> np.ndarray:
        """(B, 17) positions without x, velocities cut at +-10."""
        return np.concatenate((now.qpos[:, 1:], np.clip(now.qvel, -10, 10)), axis=1)

    def observation(self, model: Any) -> tuple[Quantity, ...]:
        """Joint positions without the first, joint velocities."""
        return joint_quantities(model, skip_positions=1)

    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Speed and staying upright are paid, control costs; a fall ends the episode."""
        healthy = _healthy(after)
        forward = self.forward_reward_weight * ((after.qpos[:, 0] - before.qpos[:, 0]) / dt)
        survive = healthy * self.healthy_reward
        control = self.ctrl_cost_weight * squared_sum(action)
        terms = {"reward_forward": forward, "reward_ctrl": -control, "reward_survive": survive}
        return Outcome((forward + survive) - control, ~healthy, terms)

    def draw(
        self, num: int, qpos: np.ndarray, qvel: np.ndarray, generator: torch.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions and velocities uniform about the model's."""
        scale = self.reset_noise_scale
        return qpos + uniform(generator, scale, num, len(qpos)), qvel + uniform(generator, scale, num, len(qvel))

    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) of the torso."""
        x, z = now.qpos[:, 0], now.qpos[:, 1]
        return np.stack((x, np.zeros_like(x), z), axis=1)


def _healthy(now: Readout) -> np.ndarray:
    """(B,) bool: between 0.8 and 2 m high, tilted less than 1 rad."""
    z, angle = now.qpos[:, 1], now.qpos[:, 2]
    return np.asarray((z > 0.8) & (z < 2.0) & (angle > -1.0) & (angle < 1.0))
