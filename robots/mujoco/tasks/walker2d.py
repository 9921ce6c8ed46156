"""Walker2d-v5: walk forward on two legs, in a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from robots.mujoco.readout import Readout
from robots.mujoco.robot import View
from robots.mujoco.tasks.planar_runner import PlanarRunner


@dataclass(frozen=True)
class Walker2d(PlanarRunner):
    """A planar runner on two legs."""

    model_file: ClassVar[str] = "walker2d_v5.xml"
    view: ClassVar[View] = View(distance=3.4, follow="x", lookat=(0.0, 0.0, 0.7))

    def healthy(self, now: Readout) -> np.ndarray:
        """(B,) bool, true between 0.8 m and 2 m with a tilt below 1 rad."""
        z, angle = now.qpos[:, 1], now.qpos[:, 2]
        return np.asarray((z > 0.8) & (z < 2.0) & (angle > -1.0) & (angle < 1.0))
