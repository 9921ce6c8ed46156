"""What a robot's file has to say: everything about a task but the physics."""

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
    """How a robot is filmed."""

    distance: float
    """From the camera to the middle of the picture [m]."""
    lookat: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Middle of the picture [m]; along an axis that is followed, relative to the robot."""
    follow: str = "xyz"
    """Axes of the world along which the camera moves with the robot."""
    elevation: float = -20.0
    """Direction of view above the horizon [deg]."""
    azimuth: float = 90.0
    """Direction of view about world z, 0 looks along x [deg]."""
    floor: float = 0.0
    """Height of the floor that is drawn for a model without any plane [m]."""


class Robot(ABC):
    """A task over one MuJoCo model, as pure functions of readouts.

    Implementations are frozen dataclasses whose fields are options of the task, with the names and defaults that
    Gymnasium's constructors give them.
    """

    model_file: ClassVar[str]
    """Path of the MJCF; a relative one is looked for among the models that the gymnasium package ships."""
    frame_skip: ClassVar[int]
    """Physics steps per control step."""
    max_episode_steps: ClassVar[int]
    """Time limit [control steps]."""
    derived: ClassVar[Mapping[str, Derived]] = {}
    """What is read besides positions and velocities, by a key of the robot's own."""
    view: ClassVar[View]
    """How it is filmed."""
    reset_noise_scale: float
    """Of what initial states differ by from the model's own; a robot with a `draw` of its own needs none."""
    normal_velocities: ClassVar[bool] = False
    """Whether initial velocities are normal with that deviation; uniform if not."""
    goal: ClassVar[str] = ""
    """What counts as success; empty if the task has no goal but its reward."""

    @abstractmethod
    def observe(self, now: Readout) -> np.ndarray:
        """(B, O) float64 observation."""

    @abstractmethod
    def observation(self, model: Any) -> tuple[Channel, ...]:
        """Names and units of the entries of an observation, for the robot's compiled `model`."""

    @abstractmethod
    def outcome(self, before: Readout, after: Readout, action: np.ndarray, dt: float) -> Outcome:
        """What a step with `action` (B, A) earned; `dt` is the control period [s].

        The action keeps the type that the caller gave it, because Gymnasium's rewards do so: with float32 actions the
        cost of control is rounded to float32.
        """

    def draw(
        self, num: int, qpos: np.ndarray, qvel: np.ndarray, generator: torch.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Initial positions (num, nq) and velocities (num, nv) about the model's own `qpos` (nq,) and `qvel` (nv,).

        Uniform within reset_noise_scale of them, unless the velocities are to be normal.
        """
        scale, velocities = self.reset_noise_scale, normal if self.normal_velocities else uniform
        return qpos + uniform(generator, scale, num, len(qpos)), qvel + velocities(generator, scale, num, len(qvel))

    @abstractmethod
    def position(self, now: Readout) -> np.ndarray:
        """(B, 3) where the robot is in the world [m]."""

    def success(self, now: Readout) -> np.ndarray:
        """(B,) bool, whether the goal is reached; never, unless there is one."""
        return np.zeros(len(now.qpos), dtype=bool)

    def signals(self, now: Readout) -> dict[str, np.ndarray]:
        """Quantities (B, k) worth plotting, by "name [unit]"."""
        return {"position [m]": self.position(now), "control [1]": now.control}
