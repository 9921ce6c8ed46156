"""Hopper-v5: hop forward on one leg, in a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from robots.mujoco.readout import Readout
from robots.mujoco.robot import View
from robots.mujoco.tasks.planar_runner import PlanarRunner


@dataclass(frozen=True)
class Hopper(PlanarRunner):
    """A planar runner on one leg."""

    model_file: ClassVar[str] = "hopper.xml"
    view: ClassVar[View] = View(distance=3.2, follow="x", lookat=(0.0, 0.0, 0.7))

    def healthy(self, now: Readout) -> np.ndarray:
        """(B,) bool, true above 0.7 m with a tilt below 0.2 rad and all other entries within +-100."""
        z, angle = now.qpos[:, 1], now.qpos[:, 2]
        rest = np.concatenate((now.qpos[:, 2:], now.qvel), axis=1)
        within = np.all((rest > -100.0) & (rest < 100.0), axis=1)
        return np.asarray(within & (z > 0.7) & (z < np.inf) & (angle > -0.2) & (angle < 0.2))
