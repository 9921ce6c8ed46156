"""HalfCheetah-v5: run forward in a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robots.mujoco.channels import joint_channels
from robots.mujoco.readout import Outcome, Readout, squared_sum
from robots.mujoco.robot import Robot, View
from robots.simulator import Channel


@dataclass(frozen=True)
class HalfCheetah(Robot):
    """Planar robot that runs along x.

    Reward: forward_reward_weight * velocity along x - ctrl_cost_weight * |action|^2
    """

    forward_reward_weight: float = 1.0
    """Weight of the velocity along x."""
    ctrl_cost_weight: float = 0.1
    """Weight of the cost of control, the squared norm of the action."""
    reset_noise_scale: float = 0.1
    """Scale of the noise on the initial positions and velocities."""

    model_file: ClassVar[str] = "half_cheetah.xml"
    frame_skip: ClassVar[int] = 5
    max_episode_steps: ClassVar[int] = 1000
    normal_velocities: ClassVar[bool] = True
    view: ClassVar[View] = View(distance=3.0, follow="x", lookat=(0.0, 0.0, 0.5))

    def observe(self, now: Readout) -> np.ndarray:
        """(B, 17) positions without x, velocities."""
        return np.concatenate((now.qpos[:, 1:], now.qvel), axis=1)

    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Channels of joint positions without the first, and of joint velocities."""
        return joint_channels(model, skip_positions=1)

    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Reward; episodes do not terminate."""
        forward = self.forward_reward_weight * ((after.qpos[:, 0] - before.qpos[:, 0]) / dt)
        control = self.ctrl_cost_weight * squared_sum(action)
        terms = {"reward_forward": forward, "reward_ctrl": -control}
        return Outcome(forward - control, np.zeros(len(forward), dtype=bool), terms)

    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) position of the torso [m]."""
        x, z = now.qpos[:, 0], now.qpos[:, 1]
        return np.stack((x, np.zeros_like(x), z + 0.7), axis=1)
