"""Missions: the part of a quadrotor task that differs between tasks.

A mission is a set of pure functions. Its memory of an episode is a NamedTuple of (B, ...) tensors, which is part of the
flight's state. Poses and results are component-first, (k, B), as in rotation.py; states are batch-first. A mission in
plain torch must not change its inputs in place, so that gradients flow through it; KernelMission is the faster way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from robots.drawing.shapes import Shape, Vector
from robots.interventions import Moved
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.pose import Pose, pose_of
from robots.quadrotor.draw import Draw
from robots.quadrotor.flight.score import Score, motion
from robots.simulator import Channel

if TYPE_CHECKING:
    from robots.quadrotor.flight.options import FlightOptions
    from robots.quadrotor.flight.state import FlightState
    from robots.quadrotor.scene import Camera


class StepContext(NamedTuple):
    """One control step of B rows, as input of a mission."""

    before: QuadrotorState
    """Bodies before the step."""
    after: QuadrotorState
    """Bodies after the step."""
    grounded: Tensor
    """(B,) bool, true where the body was on the floor at the end of any substep."""
    noise_key: Tensor
    """(B,) int64 key of the row; a mission must use a split of it (`noise.split`), as gusts use the key."""
    steps: Tensor
    """(B,) int64 control steps since the start of the episode with this one: the counter of noise."""
    duration: float
    """Length of the control step [s]."""
    command: Tensor
    """(B, A) command of the step."""
    last_command: Tensor
    """(B, A) command of the step before."""


class TaskResult(NamedTuple):
    """Result of one control step of a mission."""

    mission: Any
    """State of the mission after the step."""
    terms: dict[str, Tensor]
    """Terms (B,) of the reward without weights, by name; every name is in `Mission.weights`."""
    terminated: Tensor
    """(B,) bool, true where the episode terminates: crashed, lost or done."""


class Judged(NamedTuple):
    """A control step of a mission with its reward."""

    mission: Any
    """State of the mission after the step."""
    reward: Tensor
    """(B,)."""
    terminated: Tensor
    """(B,) bool."""
    seen: Tensor
    """(B, k + 9) entries of the mission from the true pose after the step, and the motion if it is shown."""


class Drawing(NamedTuple):
    """Parts of a picture besides the drone."""

    target: Vector | None = None
    """(3,) position of the target [m]."""
    shapes: Sequence[Shape] = ()
    """Further shapes."""
    camera: Camera | None = None
    """The camera; None follows drone and target."""


class Mission(ABC):
    """Pure functions of one task; a subclass defines the class attributes and the abstract methods."""

    goal: str
    """What counts as success, as the end of the sentence "an episode succeeds if ..."."""
    observation: tuple[Channel, ...]
    """Entries of the observation about the mission; past actions of the drone follow them."""
    shows_motion: bool = True
    """Whether 9 entries of motion in the body frame follow those of `observation`."""
    weights: Mapping[str, float]
    """Default weight of each term of the reward."""
    privileged: tuple[Channel, ...] = ()
    """Privileged entries about the mission."""
    noise: bool = False
    """Whether steps draw random numbers."""
    differentiable: bool = True
    """Whether gradients flow through its functions, which then change no input in place."""
    control_hz: float = 100.0
    """Control rate [Hz]."""
    episode_seconds: float = 5.0
    """Time limit [s]."""
    target_radius: float = 0.1
    """Radius of the target in pictures [m]."""

    def __init__(
        self, options: FlightOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.options, self.parameters, self.dtype, self.device = options, parameters, dtype, device
        self._motion = motion(dtype)

    @abstractmethod
    def begin(self, draw: Draw, difficulty: Tensor) -> tuple[QuadrotorState, Any]:
        """Initial bodies and mission states.

        Args:
            draw: Source of random numbers for `draw.num` rows.
            difficulty: (num, 1) difficulty in [0, 1].
        """

    @abstractmethod
    def observe(self, pose: Pose, mission: Any) -> Tensor:
        """Entries (k, B) of `observation` from the measured pose."""

    @abstractmethod
    def advance(self, context: StepContext, mission: Any) -> TaskResult:
        """New state of the mission, reward terms and termination of one control step."""

    @abstractmethod
    def success(self, state: FlightState) -> Tensor:
        """(B,) bool, true where an episode that ends in this state has reached the goal."""

    def judged(self, context: StepContext, mission: Any, score: Score) -> Judged:
        """A control step with its reward.

        Args:
            context: The control step.
            mission: State of the mission before it.
            score: Weighted sum of the terms.
        """
        result = self.advance(context, mission)
        reward = score(result.terms, context.command, context.last_command)
        seen = self.seen(pose_of(context.after), result.mission)
        return Judged(result.mission, reward, result.terminated, seen)

    def seen(self, pose: Pose, mission: Any) -> Tensor:
        """(B, k + 9) entries of the mission, and the motion if it is shown, of a measured pose."""
        motion = self._motion(pose.values) if self.shows_motion else ()
        return torch.cat((self.observe(pose, mission).t(), *motion), dim=1)

    def hidden(self, pose: Pose, mission: Any) -> Tensor:
        """Entries (p, B) of `privileged` from the true pose."""
        return pose.position[:0]

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Signals (B, k) to plot, by "name [unit]"; tilt, body rates and commands are added."""
        return {}

    def metrics(self, state: FlightState) -> dict[str, Tensor]:
        """Figures (B,) of episodes that end in this state, by "name [unit]"; NaN where there is none."""
        return {}

    def drawing(self, state: FlightState, row: int) -> Drawing:
        """Parts of a picture of one row besides the drone."""
        return Drawing()

    def target_place(self, state: FlightState) -> Tensor | None:
        """(B, 3) point to be at [m], which `with_target_moved` can move; None for a task without one."""
        return None

    def with_target_moved(self, state: FlightState, by: Tensor) -> Moved:
        """State with the point moved by (B, 3) [m]."""
        raise NotImplementedError

    def constant(self, *values: float) -> Tensor:
        """Tensor (k, 1) that broadcasts with component-first vectors."""
        return torch.tensor(values, dtype=self.dtype, device=self.device).unsqueeze(1)

    def body(self, position: Tensor, velocity: Tensor, quaternion: Tensor, angular_velocity: Tensor) -> QuadrotorState:
        """Bodies with rotors at hover speed.

        Args:
            position: (B, 3) in the world frame [m].
            velocity: (B, 3) in the world frame [m/s].
            quaternion: (B, 4) body to world.
            angular_velocity: (B, 3) in the body frame [rad/s].
        """
        speed = torch.full((len(position), 4), self.parameters.hover_rotor_speed, dtype=self.dtype, device=self.device)
        return QuadrotorState.of(position, velocity, quaternion, angular_velocity, speed)
