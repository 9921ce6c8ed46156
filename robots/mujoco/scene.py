"""A picture of a MuJoCo robot: its own model, seen by a camera that goes along, with the path behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from robots.mujoco.robot import View
from robots.render import require_gl
from robots.shapes import add_shape, path


class MujocoScene:
    """Draws a model in pictures of `width` times `height` pixels, seen as `view` says.

    Raises robots.render.MissingGraphicsError where no picture can be drawn. Use it from one thread only.
    """

    def __init__(self, model: Any, view: View, width: int, height: int) -> None:
        require_gl()
        import mujoco

        self._mujoco = mujoco
        self.view = view
        self._model = model
        self._data = mujoco.MjData(model)
        frame = model.vis.global_
        frame.offwidth, frame.offheight = max(frame.offwidth, width), max(frame.offheight, height)
        self._renderer = mujoco.Renderer(model, height, width, max_geom=2000)
        flags = self._renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False

    def draw(self, qpos: np.ndarray, position: np.ndarray, trail: np.ndarray | None = None) -> np.ndarray:
        """Picture (height, width, 3) uint8 with joint positions (nq,), a robot at `position` (3,) [m] and the path
        `trail` (k, 3) [m], oldest position first."""
        self._data.qpos[:] = qpos
        self._mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, self._camera(position))
        for shape in () if trail is None else path(trail):
            add_shape(self._renderer.scene, shape)
        picture: np.ndarray = self._renderer.render()
        return picture

    def close(self) -> None:
        """Release the graphics context; no picture can be drawn afterwards."""
        self._renderer.close()

    def _camera(self, position: np.ndarray) -> Any:
        camera = self._mujoco.MjvCamera()
        camera.type = self._mujoco.mjtCamera.mjCAMERA_FREE
        moves = np.array([axis in self.view.follow for axis in "xyz"])
        camera.lookat[:] = np.asarray(self.view.lookat) + np.where(moves, position, 0.0)
        camera.distance, camera.azimuth, camera.elevation = self.view.distance, self.view.azimuth, self.view.elevation
        return camera
