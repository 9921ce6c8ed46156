"""HumanoidStandup-v5: get up from lying on the back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robots.mujoco.readout import Derived, Outcome, Readout, squared_sum
from robots.mujoco.robot import Robot, View
from robots.mujoco.tasks.humanoid_observation import HUMANOID_DERIVED, humanoid_channels, humanoid_observation
from robots.simulator import Channel


@dataclass(frozen=True)
class HumanoidStandup(Robot):
    """Humanoid that stands up.

    Reward: height of the torso over the physics step - cost of control - cost of contact forces + 1.
    """

    uph_cost_weight: float = 1.0
    """Weight of the height of the torso over the physics step."""
    ctrl_cost_weight: float = 0.1
    """Weight of the cost of control, the squared norm of the action."""
    impact_cost_weight: float = 5e-7
    """Weight of the cost of contact forces."""
    reset_noise_scale: float = 1e-2
    """Scale of the noise on the initial positions and velocities."""

    model_file: ClassVar[str] = "humanoidstandup.xml"
    frame_skip: ClassVar[int] = 5
    max_episode_steps: ClassVar[int] = 1000
    derived: ClassVar[Mapping[str, Derived]] = HUMANOID_DERIVED
    view: ClassVar[View] = View(distance=3.4, follow="xy", lookat=(0.0, 0.0, 0.6))

    def observe(self, now: Readout) -> np.ndarray:
        """(B, 348) entries of humanoid_observation."""
        return humanoid_observation(now)

    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Channels of humanoid_observation."""
        return humanoid_channels(model)

    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Reward; episodes do not terminate."""
        height = (after.qpos[:, 2] - 0) / (dt / self.frame_skip)
        control = self.ctrl_cost_weight * squared_sum(after.control)
        impact = np.clip(self.impact_cost_weight * squared_sum(after.derived["contact_force"]), -np.inf, 10.0)
        terms = {"reward_linup": height, "reward_quadctrl": -control, "reward_impact": -impact}
        return Outcome(((height - control) - impact) + 1, np.zeros(len(height), dtype=bool), terms)

    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) position of the torso [m]."""
        return now.qpos[:, :3]
