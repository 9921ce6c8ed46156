"""Reacher-v5: bring the fingertip of a planar arm to a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from robots.mujoco.initial_noise import rejection, uniform
from robots.mujoco.readout import Derived, Outcome, Readout, length, squared_sum
from robots.mujoco.robot import Robot, View
from robots.simulator import Channel


@dataclass(frozen=True)
class Reacher(Robot):
    """Planar arm that moves its fingertip to a target.

    Reward: - distance of fingertip and target - |action|^2, each weighted.

    The distance is that of derived positions, one physics step behind the joints, as in Gymnasium.
    """

    reward_dist_weight: float = 1.0
    """Weight of the distance to the goal."""
    reward_control_weight: float = 1.0
    """Weight of the cost of control, the squared norm of the action."""

    model_file: ClassVar[str] = "reacher.xml"
    frame_skip: ClassVar[int] = 2
    max_episode_steps: ClassVar[int] = 50
    derived: ClassVar[Mapping[str, Derived]] = {"ends": Derived("xpos", ("fingertip", "target"))}
    view: ClassVar[View] = View(distance=0.8, follow="", elevation=-70.0)
    goal: ClassVar[str] = "the fingertip is within 2 cm of the target at the end"

    def observe(self, now: Readout) -> np.ndarray:
        """(B, 10) cosines and sines of both joints, target, joint velocities, fingertip minus target in the plane."""
        angle = now.qpos[:, :2]
        parts = (np.cos(angle), np.sin(angle), now.qpos[:, 2:], now.qvel[:, :2], _to_target(now)[:, :2])
        return np.concatenate(parts, axis=1)

    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Channels of the observation."""
        return (
            *(Channel(f"{f}_joint{i}") for f in ("cos", "sin") for i in (0, 1)),
            *(Channel(f"target_{axis}", "m", "world") for axis in "xy"),
            *(Channel(f"joint{i}_velocity", "rad/s", "joint") for i in (0, 1)),
            *(Channel(f"fingertip_minus_target_{axis}", "m", "world") for axis in "xy"),
        )

    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Reward; episodes do not terminate."""
        distance = -length(_to_target(after)) * self.reward_dist_weight
        control = -squared_sum(action) * self.reward_control_weight
        terms = {"reward_dist": distance, "reward_ctrl": control}
        return Outcome(distance + control, np.zeros(len(distance), dtype=bool), terms)

    def draw(
        self, num: int, qpos: np.ndarray, qvel: np.ndarray, generator: torch.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """As Robot.draw: joints within 0.1 rad, velocities within 0.005 rad/s, target in a disc of 0.2 m."""
        positions = qpos + uniform(generator, 0.1, num, len(qpos))
        corner = np.full(2, 0.2)
        positions[:, -2:] = rejection(generator, -corner, corner, num, lambda p: length(p) < 0.2)
        velocities = qvel + uniform(generator, 0.005, num, len(qvel))
        velocities[:, -2:] = 0.0
        return positions, velocities

    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) position of the fingertip [m]."""
        return now.derived["ends"][:, 0]

    def success(self, now: Readout) -> np.ndarray:
        """(B,) bool, true where the fingertip is within 2 cm of the target."""
        return length(_to_target(now)) < 0.02

    def signals(self, now: Readout) -> dict[str, np.ndarray]:
        """Vector from the target to the fingertip, and controls."""
        return {"fingertip to target [m]": _to_target(now), "control [1]": now.control}


def _to_target(now: Readout) -> np.ndarray:
    """Fingertip minus target (B, 3) [m]."""
    ends = now.derived["ends"]
    return np.asarray(ends[:, 0] - ends[:, 1])
