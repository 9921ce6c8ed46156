"""Pusher-v5: push a cylinder to a goal with an arm of seven joints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from robots.mujoco.channels import joint_channels
from robots.mujoco.initial_noise import rejection, uniform
from robots.mujoco.readout import Derived, Outcome, Readout, length, squared_sum
from robots.mujoco.robot import Robot, View
from robots.simulator import Channel


@dataclass(frozen=True)
class Pusher(Robot):
    """Arm that pushes an object to a goal.

    Reward: - distance of object and goal - distance of object and tip - |action|^2, each weighted.

    Distances are those of derived positions, one physics step behind the joints, as in Gymnasium.
    """

    reward_near_weight: float = 0.5
    """Weight of the distance between object and fingertip."""
    reward_dist_weight: float = 1.0
    """Weight of the distance to the goal."""
    reward_control_weight: float = 0.1
    """Weight of the cost of control, the squared norm of the action."""

    model_file: ClassVar[str] = "pusher_v5.xml"
    frame_skip: ClassVar[int] = 5
    max_episode_steps: ClassVar[int] = 100
    derived: ClassVar[Mapping[str, Derived]] = {"ends": Derived("xpos", ("tips_arm", "object", "goal"))}
    view: ClassVar[View] = View(distance=2.2, follow="", lookat=(0.2, -0.2, -0.25), elevation=-40.0, azimuth=180.0)
    goal: ClassVar[str] = "the object is within 5 cm of the goal at the end"

    def observe(self, now: Readout) -> np.ndarray:
        """(B, 23) joint positions and velocities of the arm, positions of tip, object and goal."""
        ends = now.derived["ends"].reshape(len(now.qpos), -1)
        return np.concatenate((now.qpos[:, :7], now.qvel[:, :7], ends), axis=1)

    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Channels of the observation."""
        named = joint_channels(model)
        places = (Channel(f"{end}_{axis}", "m", "world") for end in ("tip", "object", "goal") for axis in "xyz")
        return (*named[:7], *named[model.nq : model.nq + 7], *places)

    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Reward; episodes do not terminate."""
        near = -length(_between(after, 0)) * self.reward_near_weight
        distance = -length(_between(after, 2)) * self.reward_dist_weight
        control = -squared_sum(action) * self.reward_control_weight
        terms = {"reward_dist": distance, "reward_ctrl": control, "reward_near": near}
        return Outcome((distance + control) + near, np.zeros(len(near), dtype=bool), terms)

    def draw(
        self, num: int, qpos: np.ndarray, qvel: np.ndarray, generator: torch.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """As Robot.draw: arm at rest, object in a rectangle and at least 0.17 m from the goal."""
        positions = np.tile(qpos, (num, 1))
        low, high = np.array([-0.3, -0.2]), np.array([0.0, 0.2])
        positions[:, -4:-2] = rejection(generator, low, high, num, lambda p: length(p) > 0.17)
        positions[:, -2:] = 0.0
        velocities = qvel + uniform(generator, 0.005, num, len(qvel))
        velocities[:, -4:] = 0.0
        return positions, velocities

    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) position of the tip [m]."""
        return now.derived["ends"][:, 0]

    def success(self, now: Readout) -> np.ndarray:
        """(B,) bool, true where the object is within 5 cm of the goal."""
        return length(_between(now, 2)) < 0.05

    def signals(self, now: Readout) -> dict[str, np.ndarray]:
        """Vectors from tip and goal to the object, and controls."""
        return {
            "object to goal [m]": _between(now, 2),
            "object to tip [m]": _between(now, 0),
            "control [1]": now.control,
        }


def _between(now: Readout, end: int) -> np.ndarray:
    """Position of the object minus that of the tip (`end` 0) or the goal (2), (B, 3) [m]."""
    ends = now.derived["ends"]
    return np.asarray(ends[:, 1] - ends[:, end])
