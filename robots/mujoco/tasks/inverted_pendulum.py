"""InvertedPendulum-v5: keep a pole upright on a cart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robots.mujoco.channels import joint_channels
from robots.mujoco.readout import Outcome, Readout
from robots.mujoco.robot import Robot, View
from robots.simulator import Channel


@dataclass(frozen=True)
class InvertedPendulum(Robot):
    """Pole on a cart.

    Reward: 1 per step; a pole that leans more than 0.2 rad terminates the episode.
    """

    reset_noise_scale: float = 0.01
    """Scale of the noise on the initial positions and velocities."""

    model_file: ClassVar[str] = "inverted_pendulum.xml"
    frame_skip: ClassVar[int] = 2
    max_episode_steps: ClassVar[int] = 1000
    view: ClassVar[View] = View(distance=2.6, follow="", lookat=(0.0, 0.0, 0.1), elevation=-12.0, floor=-0.75)
    goal: ClassVar[str] = "the pole stands at the time limit"

    def observe(self, now: Readout) -> np.ndarray:
        """(B, 4) positions and velocities of cart and pole."""
        return np.concatenate((now.qpos, now.qvel), axis=1)

    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Channels of joint positions and velocities."""
        return joint_channels(model)

    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Reward and termination; see the class."""
        fallen = ~np.isfinite(self.observe(after)).all(axis=1) | (np.abs(after.qpos[:, 1]) > 0.2)
        reward = (~fallen).astype(np.float64)
        return Outcome(reward, fallen, {"reward_survive": reward})

    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) position of the cart [m]."""
        x = now.qpos[:, 0]
        return np.stack((x, np.zeros_like(x), np.zeros_like(x)), axis=1)

    def success(self, now: Readout) -> np.ndarray:
        """(B,) bool, true where the pole stands."""
        return np.abs(now.qpos[:, 1]) <= 0.2
