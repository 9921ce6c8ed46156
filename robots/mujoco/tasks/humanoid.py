"""Humanoid-v5: walk forward on two legs, in space."""

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
class Humanoid(Robot):
    """Humanoid that walks along x.

    Reward: velocity of the centre of mass along x + healthy_reward - cost of control - cost of contact forces; a pelvis
    outside 1 m to 2 m terminates the episode.

    The velocity is that of derived positions, one physics step behind the joints, as in Gymnasium.
    """

    forward_reward_weight: float = 1.25
    """Weight of the velocity along x."""
    ctrl_cost_weight: float = 0.1
    """Weight of the cost of control, the squared norm of the action."""
    contact_cost_weight: float = 5e-7
    """Weight of the cost of contact forces."""
    healthy_reward: float = 5.0
    """Reward of every step that does not end the episode."""
    reset_noise_scale: float = 1e-2
    """Scale of the noise on the initial positions and velocities."""

    model_file: ClassVar[str] = "humanoid.xml"
    frame_skip: ClassVar[int] = 5
    max_episode_steps: ClassVar[int] = 1000
    derived: ClassVar[Mapping[str, Derived]] = {"centre": Derived("xipos"), **HUMANOID_DERIVED}
    view: ClassVar[View] = View(distance=3.8, follow="xy", lookat=(0.0, 0.0, 0.8))

    def observe(self, now: Readout) -> np.ndarray:
        """(B, 348) entries of humanoid_observation."""
        return humanoid_observation(now)

    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Channels of humanoid_observation."""
        return humanoid_channels(model)

    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Reward and termination; see the class."""
        healthy = (after.qpos[:, 2] > 1.0) & (after.qpos[:, 2] < 2.0)
        velocity = (_centre_of_mass(after) - _centre_of_mass(before))[:, 0] / dt
        forward = self.forward_reward_weight * velocity
        survive = healthy * self.healthy_reward
        control = self.ctrl_cost_weight * squared_sum(after.control)
        contact = np.clip(self.contact_cost_weight * squared_sum(after.derived["contact_force"]), -np.inf, 10.0)
        terms = {
            "reward_survive": survive,
            "reward_forward": forward,
            "reward_ctrl": -control,
            "reward_contact": -contact,
        }
        return Outcome((forward + survive) - (control + contact), ~healthy, terms)

    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) position of the torso [m]."""
        return now.qpos[:, :3]


def _centre_of_mass(now: Readout) -> np.ndarray:
    """Horizontal position (B, 2) of the centre of mass [m]."""
    weighted = np.einsum("kb,kbj->kj", now.body_mass, now.derived["centre"])
    return np.asarray((weighted / now.body_mass.sum(axis=1, keepdims=True))[:, :2])
