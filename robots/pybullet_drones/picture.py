"""Pictures of an aviary: the first drone in detail, the others as discs with targets."""

from __future__ import annotations

import numpy as np

from robots.drawing.shapes import Shape
from robots.quadrotor.body.parameters import preset
from robots.quadrotor.scene import QuadrotorScene

_ORANGE, _GREEN = (1.0, 0.45, 0.10, 0.8), (0.10, 0.75, 0.35, 0.3)
_RADIUS = 0.1  # m


class Painter:
    """Draws aviaries.

    Args:
        max_rpm: Largest rotor speed [1/min].
        target: (n, 3) targets of the drones [m], or (0, 3) without targets.
    """

    def __init__(self, max_rpm: float, target: np.ndarray) -> None:
        self.max_rpm, self.target = max_rpm, target
        self._scenes: dict[tuple[int, int], QuadrotorScene] = {}

    def draw(
        self,
        position: np.ndarray,
        quaternion: np.ndarray,
        rpm: np.ndarray,
        width: int,
        height: int,
        trail: np.ndarray | None,
    ) -> np.ndarray:
        """Draw one state.

        Args:
            position: (n, 3) [m].
            quaternion: (n, 4) xyzw.
            rpm: (n, 4) rotor speeds [1/min].
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.
            trail: (k, 3) path of the first drone [m], or None.

        Returns:
            Picture (height, width, 3) uint8.
        """
        if (width, height) not in self._scenes:
            self._scenes[width, height] = QuadrotorScene(preset("cf2x"), width, height, _RADIUS)
        shapes = [Shape("cylinder", (_RADIUS, 0.015), place, _ORANGE) for place in position[1:]]
        shapes += [Shape("sphere", (_RADIUS,), place, _GREEN, glow=0.4) for place in self.target[1:]]
        target = self.target[0] if len(self.target) else None
        wxyz, speeds = np.roll(quaternion[0], 1), np.clip(rpm[0] / self.max_rpm, 0.0, 1.0)
        return self._scenes[width, height].draw(position[0], wxyz, speeds, target, trail, shapes)
