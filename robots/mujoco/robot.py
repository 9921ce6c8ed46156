"""Definition of a MuJoCo robot's task: observation, reward, goal, initial states and camera."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from robots.mujoco.initial_noise import normal, uniform
from robots.mujoco.readout import Derived, Outcome, Readout
from robots.simulator import Channel


class View(NamedTuple):
    """Camera of pictures and films."""

    distance: float
    """Distance between the camera and the centre of the picture [m]."""
    lookat: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Centre of the picture [m]; relative to the robot along the axes of `follow`."""
    follow: str = "xyz"
    """Axes of the world along which the camera moves with the robot."""
    elevation: float = -20.0
    """Elevation of the direction of view [deg]."""
    azimuth: float = 90.0
    """Azimuth of the direction of view about world z [deg]; 0 is along x."""
    floor: float = 0.0
    """Height of the floor that is added to a model without a plane [m]."""


class Robot(ABC):
    """A task with one MuJoCo model, as pure functions of readouts.

    Subclasses are frozen dataclasses whose fields are options of the task. In Gymnasium's tasks they have the names and
    defaults of Gymnasium's constructors.
    """

    model_file: ClassVar[str]
    """Path of the MJCF file; a relative path is in the model folder of the gymnasium package."""
    frame_skip: ClassVar[int]
    """Physics steps per control step."""
    max_episode_steps: ClassVar[int]
    """Time limit in control steps."""
    derived: ClassVar[Mapping[str, Derived]] = {}
    """Fields that are read besides positions and velocities, by key."""
    view: ClassVar[View]
    """Camera of pictures and films."""
    reset_noise_scale: float
    """Scale of the noise of initial states; not needed by a robot that overrides `draw`."""
    normal_velocities: ClassVar[bool] = False
    """Whether the noise of initial velocities is normal; it is uniform otherwise."""
    goal: ClassVar[str] = ""
    """What counts as success, in words; empty if the task has only a reward."""

    @abstractmethod
    def observe(self, now: Readout) -> np.ndarray:
        """Observation (B, O) float64."""

    @abstractmethod
    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Channels of the O entries of an observation, for the compiled `model`."""

    @abstractmethod
    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """Reward and termination of a step.

        Args:
            before: Readout before the step.
            after: Readout after the step.
            action: (B, A) action in the type of the caller. As in Gymnasium, float32 actions give a cost of control
                that is rounded to float32.
            dt: Control period [s].
        """

    def draw(
        self, num: int, qpos: np.ndarray, qvel: np.ndarray, generator: torch.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw initial states: the model's own plus noise of `reset_noise_scale`.

        Args:
            num: Number of states.
            qpos: (nq,) positions of the model.
            qvel: (nv,) velocities of the model.
            generator: Source of the noise.

        Returns:
            Positions (num, nq) and velocities (num, nv).
        """
        scale, velocities = self.reset_noise_scale, normal if self.normal_velocities else uniform
        return qpos + uniform(generator, scale, num, len(qpos)), qvel + velocities(generator, scale, num, len(qvel))

    @abstractmethod
    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) position of the robot in the world [m]."""

    def success(self, now: Readout) -> np.ndarray:
        """(B,) bool, true where the goal is reached; false without a goal."""
        return np.zeros(len(now.qpos), dtype=bool)

    def signals(self, now: Readout) -> dict[str, np.ndarray]:
        """Signals (B, k) to plot, by "name [unit]"."""
        return {"position [m]": self.position(now), "control [1]": now.control}
