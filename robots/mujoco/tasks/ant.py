"""Ant-v5: run forward on four legs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robots.mujoco.channels import CONTACT_FORCE, body_channels, joint_channels
from robots.mujoco.readout import Derived, Outcome, Readout, squared_sum
from robots.mujoco.robot import Robot, View
from robots.simulator import Channel


@dataclass(frozen=True)
class Ant(Robot):
    """Four-legged robot that runs along x.

    Reward: velocity of the torso along x + healthy_reward - cost of control - cost of contact forces clipped at +-1; a
    torso outside 0.2 m to 1 m terminates the episode.

    The velocity is that of the torso's derived position, one physics step behind the joints, as in Gymnasium.
    """

    forward_reward_weight: float = 1.0
    """Weight of the velocity along x."""
    ctrl_cost_weight: float = 0.5
    """Weight of the cost of control, the squared norm of the action."""
    contact_cost_weight: float = 5e-4
    """Weight of the cost of contact forces."""
    healthy_reward: float = 1.0
    """Reward of every step that does not end the episode."""
    reset_noise_scale: float = 0.1
    """Scale of the noise on the initial positions and velocities."""

    model_file: ClassVar[str] = "ant.xml"
    frame_skip: ClassVar[int] = 5
    max_episode_steps: ClassVar[int] = 1000
    normal_velocities: ClassVar[bool] = True
    derived: ClassVar[Mapping[str, Derived]] = {
        "torso": Derived("xpos", ("torso",)),
        "contact_force": Derived("cfrc_ext"),
    }
    view: ClassVar[View] = View(distance=4.2, follow="xy", lookat=(0.0, 0.0, 0.4))

    def observe(self, now: Readout) -> np.ndarray:
        """(B, 105) positions without x and y, velocities, contact forces and torques of bodies clipped at +-1."""
        forces = np.clip(now.derived["contact_force"], -1.0, 1.0)[:, 1:]
        return np.concatenate((now.qpos[:, 2:], now.qvel, forces.reshape(len(forces), -1)), axis=1)

    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Channels of joint positions, joint velocities and contact forces."""
        return joint_channels(model, skip_positions=2) + body_channels(model, "contact", CONTACT_FORCE)

    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Reward and termination; see the class."""
        healthy = _healthy(after)
        velocity = (after.derived["torso"][:, 0, 0] - before.derived["torso"][:, 0, 0]) / dt
        forward = velocity * self.forward_reward_weight
        survive = healthy * self.healthy_reward
        control = self.ctrl_cost_weight * squared_sum(action)
        contact = self.contact_cost_weight * squared_sum(np.clip(after.derived["contact_force"], -1.0, 1.0))
        terms = {
            "reward_forward": forward,
            "reward_ctrl": -control,
            "reward_contact": -contact,
            "reward_survive": survive,
        }
        return Outcome((forward + survive) - (control + contact), ~healthy, terms)

    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) position of the torso [m]."""
        return now.qpos[:, :3]


def _healthy(now: Readout) -> np.ndarray:
    """(B,) bool, true where the torso is between 0.2 m and 1 m and the state is finite."""
    finite = np.isfinite(now.qpos).all(axis=1) & np.isfinite(now.qvel).all(axis=1)
    return np.asarray(finite & (now.qpos[:, 2] >= 0.2) & (now.qpos[:, 2] <= 1.0))
