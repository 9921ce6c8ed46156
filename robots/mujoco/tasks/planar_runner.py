"""Common part of Hopper-v5 and Walker2d-v5: run forward in a plane without falling."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robots.mujoco.channels import joint_channels
from robots.mujoco.readout import Outcome, Readout, squared_sum
from robots.mujoco.robot import Robot
from robots.simulator import Channel


@dataclass(frozen=True)
class PlanarRunner(Robot):
    """Reward: velocity along x + healthy_reward - ctrl_cost_weight * |action|^2; a fall terminates."""

    forward_reward_weight: float = 1.0
    """Weight of the velocity along x."""
    ctrl_cost_weight: float = 1e-3
    """Weight of the cost of control, the squared norm of the action."""
    healthy_reward: float = 1.0
    """Reward of every step that does not end the episode."""
    reset_noise_scale: float = 5e-3
    """Scale of the noise on the initial positions and velocities."""

    frame_skip: ClassVar[int] = 4
    max_episode_steps: ClassVar[int] = 1000

    @abstractmethod
    def healthy(self, now: Readout) -> np.ndarray:
        """(B,) bool, true where the robot has not fallen."""

    def observe(self, now: Readout) -> np.ndarray:
        """(B, nq - 1 + nv) positions without x, velocities clipped at +-10."""
        return np.concatenate((now.qpos[:, 1:], np.clip(now.qvel, -10, 10)), axis=1)

    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Channels of joint positions without the first, and of joint velocities."""
        return joint_channels(model, skip_positions=1)

    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Reward and termination; see the class."""
        healthy = self.healthy(after)
        forward = self.forward_reward_weight * ((after.qpos[:, 0] - before.qpos[:, 0]) / dt)
        survive = healthy * self.healthy_reward
        control = self.ctrl_cost_weight * squared_sum(action)
        terms = {"reward_forward": forward, "reward_ctrl": -control, "reward_survive": survive}
        return Outcome((forward + survive) - control, ~healthy, terms)

    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) position of the torso [m]."""
        x, z = now.qpos[:, 0], now.qpos[:, 1]
        return np.stack((x, np.zeros_like(x), z), axis=1)
