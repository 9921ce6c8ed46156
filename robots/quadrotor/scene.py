"""Pictures of a quadrotor with floor, sky, target and path; MuJoCo draws them and simulates nothing.

A small quadrotor is drawn up to MAGNIFICATION times larger, because a Crazyflie of 10 cm would be hard to see from a
few metres. Everything else has its true size. A tile of the floor is TILE metres wide. Target, path, shadow and parts
of a task such as gates are `Shape`s, which are added to each picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from robots.drawing.offscreen import require_gl
from robots.drawing.shapes import (
    Shape,
    Vector,
    add_shape,
    bar,
    path,
)
from robots.quadrotor.body.parameters import QuadrotorParameters

if TYPE_CHECKING:
    import mujoco

MAGNIFICATION = 2.5
LARGE = 0.1  # m, rotor offset up to which quadrotors are drawn larger
TILE = 1.0  # m
FIELD_OF_VIEW = 40.0  # degrees, vertical

_GREEN = (0.10, 0.75, 0.35)
_DISC_FRONT, _DISC_BACK = (1.0, 0.45, 0.10), (0.30, 0.36, 0.46)
FEET = 0.35  # distance of the feet below the centre over the drawn rotor offset


class Camera(NamedTuple):
    """Camera of a picture."""

    centre: Vector
    """(3,) point in the centre of the picture [m]."""
    distance: float
    """Distance between the camera and that point [m]."""
    azimuth: float = 140.0
    """Azimuth of the direction of view about world z [deg]; 0 is along x."""
    elevation: float = -13.0
    """Elevation of the direction of view [deg]."""


def drawn_offset(parameters: QuadrotorParameters) -> float:
    """|x| and |y| of the rotors in pictures [m]: the mean of both, magnified where it is small."""
    offset = 0.5 * sum(parameters.rotor_offset)
    return max(offset, min(MAGNIFICATION * offset, LARGE))


def chase(position: Vector, target: Vector | None) -> Camera:
    """Camera that shows a position (3,) and a target (3,) and moves as smoothly as they do."""
    here = np.asarray(position, dtype=float)
    there = here if target is None else np.asarray(target, dtype=float)
    # two points at a distance d are within +-20 degrees of their midpoint, in any direction, from a camera distance of
    # 0.5 d sqrt(1 + 1 / tan(20)^2) = 1.46 d
    return Camera(0.5 * (here + there), math.hypot(1.3, 1.6 * float(np.linalg.norm(here - there))))


class QuadrotorScene:
    """Draws one quadrotor; use it from one thread only.

    Args:
        parameters: The airframe.
        width: Width of pictures in pixels.
        height: Height of pictures in pixels.
        target_radius: Radius of the target [m].

    Raises:
        MissingGraphicsError: This machine cannot draw.
    """

    def __init__(
        self, parameters: QuadrotorParameters, width: int = 640, height: int = 480, target_radius: float = 0.1
    ) -> None:
        require_gl()
        import mujoco

        self.target_radius = target_radius
        self.drawn_offset = drawn_offset(parameters)
        self._mujoco = mujoco
        self._model = drawn_model(parameters, width, height)
        self._data = mujoco.MjData(self._model)
        self._discs = [self._model.geom(f"disc_{i}").id for i in (1, 2, 3, 4)]
        self._renderer = mujoco.Renderer(self._model, height, width, max_geom=2000)
        flags = self._renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False

    def draw(
        self,
        position: np.ndarray,
        quaternion: np.ndarray,
        rotor_speed: np.ndarray,
        target: np.ndarray | None = None,
        trail: np.ndarray | None = None,
        shapes: Iterable[Shape] = (),
        camera: Camera | None = None,
    ) -> np.ndarray:
        """Draw one state; a quadrotor on the floor stands on its feet.

        Args:
            position: (3,) position [m].
            quaternion: (4,) attitude wxyz, body to world.
            rotor_speed: (4,) rotor speeds in [0, 1], drawn as the opacity of the discs.
            target: (3,) target [m], drawn as a translucent ball.
            trail: (k, 3) path [m], oldest position first.
            shapes: Further shapes.
            camera: The camera; None follows quadrotor and target.

        Returns:
            Picture (height, width, 3) uint8.
        """
        x, y, z = (float(v) for v in position)
        self._data.mocap_pos[0] = (x, y, max(z, FEET * self.drawn_offset))
        self._data.mocap_quat[0] = quaternion
        for disc, speed in zip(self._discs, rotor_speed, strict=True):
            self._model.geom_rgba[disc, 3] = 0.15 + 0.5 * float(speed)
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, self._view(chase(position, target) if camera is None else camera))
        flown = [] if trail is None else path(trail)
        for shape in (*self._markers(position, target), *flown, *shapes):
            add_shape(self._renderer.scene, shape)
        picture: np.ndarray = self._renderer.render()
        return picture

    def close(self) -> None:
        """Release the graphics context; nothing can be drawn afterwards."""
        self._renderer.close()

    def _view(self, camera: Camera) -> mujoco.MjvCamera:
        view = self._mujoco.MjvCamera()
        view.type = self._mujoco.mjtCamera.mjCAMERA_FREE
        view.lookat[:] = camera.centre
        view.distance, view.azimuth, view.elevation = camera.distance, camera.azimuth, camera.elevation
        return view

    def _markers(self, position: np.ndarray, target: np.ndarray | None) -> list[Shape]:
        """Target, and a round shadow below the quadrotor that shows its height."""
        x, y, z = (float(v) for v in position)
        radius = 1.2 * self.drawn_offset
        markers = [Shape("cylinder", (radius, 0.001), (x, y, 0.002), (0.05, 0.08, 0.15, 0.35))]
        if z > 0.05:
            markers.append(bar((x, y, 0.0), (x, y, z), 0.002, (0.05, 0.08, 0.15, 0.25)))
        if target is not None:
            x, y, z = (float(v) for v in target)
            r = self.target_radius
            markers.append(Shape("sphere", (r,), (x, y, z), (*_GREEN, 0.3), glow=0.4))
            if z > r:
                markers.append(bar((x, y, 0.0), (x, y, z - r), 0.003, (*_GREEN, 0.3)))
                markers.append(Shape("cylinder", (r, 0.001), (x, y, 0.001), (*_GREEN, 0.35)))
        return markers


def drawn_model(parameters: QuadrotorParameters, width: int = 640, height: int = 480) -> mujoco.MjModel:
    """Model of the floor and of a quadrotor as the mocap body "quadrotor", with the discs disc_1 to disc_4.

    Args:
        parameters: The airframe.
        width: Largest width of pictures in pixels.
        height: Largest height of pictures in pixels.
    """
    import mujoco

    return mujoco.MjModel.from_xml_string(_world(parameters, width, height))


def _world(parameters: QuadrotorParameters, width: int, height: int) -> str:
    """MJCF of floor, sky, light and a quadrotor as a mocap body."""
    return f"""
<mujoco>
  <statistic extent="4" center="0 0 1"/>
  <visual>
    <global offwidth="{width}" offheight="{height}" fovy="{FIELD_OF_VIEW}"/>
    <quality offsamples="4" numslices="24" numstacks="10"/>
    <headlight ambient="0.35 0.35 0.37" diffuse="0.35 0.35 0.35" specular="0.1 0.1 0.1"/>
    <rgba haze="0.86 0.91 0.96 1"/>
    <map znear="0.02" zfar="15" haze="0.4"/>
  </visual>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.86 0.91 0.96" rgb2="0.30 0.52 0.82"
             width="256" height="1536"/>
    <texture name="tiles" type="2d" builtin="checker" rgb1="0.80 0.82 0.85" rgb2="0.66 0.69 0.74"
             mark="edge" markrgb="0.9 0.92 0.94" width="256" height="256"/>
    <material name="floor" texture="tiles" texrepeat="{1.0 / TILE} {1.0 / TILE}" texuniform="true" specular="0"/>
    <material name="carbon" rgba="0.10 0.11 0.13 1" specular="0.6" shininess="0.5"/>
    <material name="metal" rgba="0.62 0.65 0.70 1" specular="0.9" shininess="0.8"/>
    <material name="board" rgba="0.16 0.20 0.27 1" specular="0.4" shininess="0.4"/>
    <material name="battery" rgba="0.75 0.78 0.82 1" specular="0.4" shininess="0.4"/>
    <material name="nose" rgba="1.0 0.35 0.05 1" specular="0.5" shininess="0.5" emission="0.3"/>
  </asset>
  <worldbody>
    <light directional="true" pos="0 0 5" dir="-0.4 0.3 -1" diffuse="0.6 0.6 0.58" specular="0.3 0.3 0.3"/>
    <geom type="plane" size="0 0 0.05" material="floor"/>
    <body name="quadrotor" mocap="true">{_airframe(drawn_offset(parameters))}
    </body>
  </worldbody>
</mujoco>"""


def _airframe(offset: float) -> str:
    """MJCF geoms of an X frame with rotors at |x| = |y| = `offset` [m]."""
    geoms: list[str] = []

    def add(kind: str, size: Vector, look: str, placed: str) -> None:
        lengths = " ".join(f"{offset * s:.6f}" for s in size)
        geoms.append(f'\n      <geom type="{kind}" size="{lengths}" {look} {placed}/>')

    def at(*point: float) -> str:
        return " ".join(f"{offset * c:.6f}" for c in point)

    add("box", (0.42, 0.30, 0.05), 'material="board"', 'pos="0 0 0"')
    add("box", (0.34, 0.22, 0.10), 'material="battery"', f'pos="{at(-0.03, 0.0, 0.15)}"')
    add("ellipsoid", (0.26, 0.17, 0.13), 'material="nose"', f'pos="{at(0.55, 0.0, 0.03)}"')
    for i, (x, y) in enumerate(((1, -1), (-1, -1), (-1, 1), (1, 1)), start=1):
        rgb = _DISC_FRONT if x > 0 else _DISC_BACK
        add("capsule", (0.07,), 'material="carbon"', f'fromto="{at(0.2 * x, 0.15 * y, 0)} {at(x, y, 0)}"')
        add("cylinder", (0.15, 0.16), 'material="metal"', f'pos="{at(x, y, 0.08)}"')
        add("capsule", (0.05,), 'material="carbon"', f'fromto="{at(x, y, -0.05)} {at(1.02 * x, 1.02 * y, -0.3)}"')
        add(
            "cylinder", (0.7, 0.012), f'name="disc_{i}" rgba="{rgb[0]} {rgb[1]} {rgb[2]} 0.5"', f'pos="{at(x, y, 0.3)}"'
        )
        add("cylinder", (0.06, 0.06), 'material="carbon"', f'pos="{at(x, y, 0.3)}"')
    return "".join(geoms)
