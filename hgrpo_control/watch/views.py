"""What a task looks like on the page: a model with moving bodies, shapes, a floor and a camera."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.drawing.shapes import Shape
from robots.mujoco.batch import without_warnings
from robots.mujoco.simulator import MujocoSimulator
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.scene import FEET, Camera, chase, drawn_model, drawn_offset
from robots.simulator import Simulator

Floats = NDArray[np.float64]

_FURTHER = 1.5  # distance of the first camera over that of a film, whose picture has no panel


class Pose(NamedTuple):
    """A body in the world."""

    position: Floats
    """(3,) [m]."""
    quaternion: Floats
    """(4,) wxyz."""


class View(ABC):
    """The look of one simulator."""

    model: Any = None
    """MuJoCo model whose geoms are drawn; None draws a ball at the position of the robot."""
    follow = False
    """Whether the camera moves with the robot from the beginning."""
    apart = 0.0
    """Distance between the flights of several policies [m]; at 0 they share one world."""

    @abstractmethod
    def poses(self, state: Any) -> dict[int, Pose]:
        """Poses of the bodies of the model that may have moved, by their index."""

    @abstractmethod
    def camera(self, state: Any) -> Camera:
        """The first camera."""

    def shapes(self, state: Any) -> Sequence[Shape]:
        """Parts of the task."""
        return ()

    def opacities(self, state: Any) -> dict[str, float]:
        """Opacity of geoms that changes, by their name."""
        return {}


class QuadrotorView(View):
    """A quadrotor on its mission."""

    def __init__(self, simulator: QuadrotorFlight) -> None:
        self.simulator = simulator
        self.model = drawn_model(simulator.parameters)
        self._body = self.model.body("quadrotor").id
        self._stands = FEET * drawn_offset(simulator.parameters)
        self._radius = simulator.mission.target_radius

    def poses(self, state: Any) -> dict[int, Pose]:
        """The quadrotor; on the floor it stands on its feet."""
        x, y, z = state.body.position[0].tolist()
        return {self._body: Pose(np.array((x, y, max(z, self._stands))), state.body.quaternion[0].double().numpy())}

    def camera(self, state: Any) -> Camera:
        """That of a film."""
        drawing = self.simulator.mission.drawing(state, 0)
        camera = drawing.camera or chase(state.body.position[0].double().numpy(), drawing.target)
        return camera._replace(distance=_FURTHER * max(camera.distance, 2.0))

    def shapes(self, state: Any) -> Sequence[Shape]:
        """Those of the mission, and the target."""
        drawing = self.simulator.mission.drawing(state, 0)
        if drawing.target is None:
            return drawing.shapes
        return (*drawing.shapes, Shape("sphere", (self._radius,), drawing.target, (0.10, 0.75, 0.35, 0.35)))

    def opacities(self, state: Any) -> dict[str, float]:
        """Discs of fast rotors are less transparent."""
        speeds = state.body.rotor_speed[0].tolist()
        return {f"disc_{i}": 0.15 + 0.5 * speed for i, speed in enumerate(speeds, start=1)}


class MujocoView(View):
    """A MuJoCo robot."""

    follow, apart = True, 2.0

    def __init__(self, simulator: MujocoSimulator) -> None:
        self.simulator, self.model = simulator, simulator.model
        self._data = mujoco.MjData(self.model)

    def poses(self, state: Any) -> dict[int, Pose]:
        """Every body."""
        self._data.qpos[:] = self.simulator.readout(state).qpos[0]
        with without_warnings():
            mujoco.mj_kinematics(self.model, self._data)
        return {i: Pose(self._data.xpos[i].copy(), self._data.xquat[i].copy()) for i in range(self.model.nbody)}

    def camera(self, state: Any) -> Camera:
        """That of a film."""
        view = self.simulator.robot.view
        moves = np.array([axis in view.follow for axis in "xyz"])
        here = np.where(moves, self.simulator.position(state)[0].numpy(), 0.0)
        return Camera(here + np.array(view.lookat), view.distance, view.azimuth, view.elevation)


class BallView(View):
    """A task of which only the position of the robot is known."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def poses(self, state: Any) -> dict[int, Pose]:
        """None."""
        return {}

    def camera(self, state: Any) -> Camera:
        """One that looks at the robot."""
        return Camera(self._position(state), 4.0)

    def shapes(self, state: Any) -> Sequence[Shape]:
        """A ball."""
        return (Shape("sphere", (0.1,), self._position(state), (0.9, 0.4, 0.1, 1.0)),)

    def _position(self, state: Any) -> Floats:
        place: Floats = self.simulator.position(state)[0].double().cpu().numpy()
        return place


def view_of(simulator: Simulator) -> View:
    """The look of a simulator."""
    if isinstance(simulator, QuadrotorFlight):
        return QuadrotorView(simulator)
    return MujocoView(simulator) if isinstance(simulator, MujocoSimulator) else BallView(simulator)


def eye(camera: Camera) -> Floats:
    """(3,) place of a camera in the world [m]."""
    azimuth, elevation = math.radians(camera.azimuth), math.radians(camera.elevation)
    level = math.cos(elevation)
    forward = np.array((level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation)))
    return np.asarray(camera.centre, dtype=np.float64) - camera.distance * forward
