"""InvertedDoublePendulum-v5: keep two poles upright, one on the other, on a cart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robots.mujoco.channels import joint_channels
from robots.mujoco.readout import Derived, Outcome, Readout, squared
from robots.mujoco.robot import Robot, View
from robots.simulator import Channel


@dataclass(frozen=True)
class InvertedDoublePendulum(Robot):
    """Two poles on a cart.

    Reward: healthy_reward - penalty on the distance of the tip from upright - penalty on the speed of the poles; a tip
    below 1 m terminates the episode.

    The tip is a derived position, one physics step behind the joints, as in Gymnasium.
    """

    healthy_reward: float = 10.0
    """Reward of every step that does not end the episode."""
    reset_noise_scale: float = 0.1
    """Scale of the noise on the initial positions and velocities."""

    model_file: ClassVar[str] = "inverted_double_pendulum.xml"
    frame_skip: ClassVar[int] = 5
    max_episode_steps: ClassVar[int] = 1000
    normal_velocities: ClassVar[bool] = True
    derived: ClassVar[Mapping[str, Derived]] = {
        "tip": Derived("site_xpos", ("tip",)),
        "constraint_force": Derived("qfrc_constraint"),
    }
    view: ClassVar[View] = View(distance=3.8, follow="", lookat=(0.0, 0.0, 0.3), elevation=-10.0)
    goal: ClassVar[str] = "the poles stand at the time limit"

    def observe(self, now: Readout) -> np.ndarray:
        """(B, 9) cart position, sines and cosines of the poles, velocities, constraint force clipped at +-10."""
        force = np.clip(now.derived["constraint_force"], -10, 10)[:, :1]
        angle = now.qpos[:, 1:]
        parts = (now.qpos[:, :1], np.sin(angle), np.cos(angle), np.clip(now.qvel, -10, 10), force)
        return np.concatenate(parts, axis=1)

    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Channels of the observation."""
        named = joint_channels(model)
        return (
            named[0],
            *(Channel(f"{f}_{pole.name}") for f in ("sin", "cos") for pole in named[1:3]),
            *named[3:],
            Channel("constraint_force", "N", "joint"),
        )

    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Reward and termination; see the class."""
        x, y = after.derived["tip"][:, 0, 0], after.derived["tip"][:, 0, 2]
        fallen = y <= 1
        distance = 0.01 * squared(x) + squared(y - 2)
        speed = 1e-3 * squared(after.qvel[:, 1]) + 5e-3 * squared(after.qvel[:, 2])
        survive = self.healthy_reward * ~fallen
        terms = {"reward_survive": survive, "distance_penalty": -distance, "velocity_penalty": -speed}
        return Outcome((survive - distance) - speed, fallen, terms)

    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) position of the tip [m]."""
        return now.derived["tip"][:, 0]

    def success(self, now: Readout) -> np.ndarray:
        """(B,) bool, true where the poles stand."""
        return np.asarray(now.derived["tip"][:, 0, 2] > 1)
