"""Pictures of a MuJoCo robot with a camera that follows it and its path."""

from __future__ import annotations

from typing import Any

import numpy as np

from robots.drawing.offscreen import require_gl
from robots.drawing.shapes import add_shape, path
from robots.mujoco.batch import without_warnings
from robots.mujoco.robot import View

_PATH_RADIUS = 0.003  # share of the camera's distance


def drawable_model(file: str, view: View) -> Any:
    """Model of an MJCF file for drawing; missing sky, floor or light are added.

    Nothing that moves is added, so the joint positions are the same.
    """
    import mujoco

    with without_warnings():
        model = mujoco.MjModel.from_xml_path(file)
        has_sky = mujoco.mjtTexture.mjTEXTURE_SKYBOX in model.tex_type
        has_floor = mujoco.mjtGeom.mjGEOM_PLANE in model.geom_type
        if has_sky and has_floor:
            return model
        spec = mujoco.MjSpec.from_file(file)
        if not has_sky:
            sky = {
                "builtin": mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
                "rgb1": (0.45, 0.55, 0.65),
                "rgb2": (0.2, 0.25, 0.3),
            }
            spec.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=64, height=384, **sky)
            light = spec.visual.headlight
            light.ambient, light.diffuse, light.specular = (0.4,) * 3, (0.5,) * 3, (0.1,) * 3
        if not has_floor:
            plane = {"type": mujoco.mjtGeom.mjGEOM_PLANE, "size": (40, 40, 1), "rgba": (0.55, 0.6, 0.6, 1.0)}
            spec.worldbody.add_geom(pos=(0.0, 0.0, view.floor), contype=0, conaffinity=0, **plane)
        return spec.compile()


class MujocoScene:
    """Draws the model of an MJCF file; use it from one thread only.

    Args:
        file: The MJCF file.
        view: The camera.
        width: Width of pictures in pixels.
        height: Height of pictures in pixels.

    Raises:
        MissingGraphicsError: This machine cannot draw.
    """

    def __init__(self, file: str, view: View, width: int, height: int) -> None:
        require_gl()
        import mujoco

        self._mujoco = mujoco
        self.view = view
        self._model = model = drawable_model(file, view)
        self._data = mujoco.MjData(model)
        frame = model.vis.global_
        frame.offwidth, frame.offheight = max(frame.offwidth, width), max(frame.offheight, height)
        self._renderer = mujoco.Renderer(model, height, width, max_geom=2000)
        flags = self._renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False

    def draw(self, qpos: np.ndarray, position: np.ndarray, trail: np.ndarray | None = None) -> np.ndarray:
        """Draw one state.

        Args:
            qpos: (nq,) joint positions.
            position: (3,) position of the robot [m], which the camera follows.
            trail: (k, 3) path [m], oldest position first.

        Returns:
            Picture (height, width, 3) uint8.
        """
        self._data.qpos[:] = qpos
        with without_warnings():
            self._mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, self._camera(position))
        for shape in () if trail is None else path(trail, radius=_PATH_RADIUS * self.view.distance):
            add_shape(self._renderer.scene, shape)
        picture: np.ndarray = self._renderer.render()
        return picture

    def close(self) -> None:
        """Release the graphics context; nothing can be drawn afterwards."""
        self._renderer.close()

    def _camera(self, position: np.ndarray) -> Any:
        camera = self._mujoco.MjvCamera()
        camera.type = self._mujoco.mjtCamera.mjCAMERA_FREE
        moves = np.array([axis in self.view.follow for axis in "xyz"])
        camera.lookat[:] = np.asarray(self.view.lookat) + np.where(moves, position, 0.0)
        camera.distance, camera.azimuth, camera.elevation = self.view.distance, self.view.azimuth, self.view.elevation
        return camera
