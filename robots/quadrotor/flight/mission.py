"""What a quadrotor is to do: the part of a task that differs from one task to the next.

A mission is a set of pure functions; what it remembers of an episode is a NamedTuple of (B, ...) tensors, its own part
of the flight's state. Poses and results are component-first, (k, B), as in dynamics.py; states are batch-first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from robots.drawing.shapes import Shape, Vector
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.pose import Pose
from robots.quadrotor.draw import Draw
from robots.simulator import Channel

if TYPE_CHECKING:
    from robots.quadrotor.flight.options import FlightOptions
    from robots.quadrotor.flight.state import FlightState
    from robots.quadrotor.scene import Camera


class StepContext(NamedTuple):
    """One control step as a mission judges it."""

    before: QuadrotorState
    after: QuadrotorState
    grounded: Tensor
    """(B,) bool, whether the body stood on the floor at the end of any substep."""
    noise_key: Tensor
    """(B,) int64 key of the row. Gusts draw from it, so a mission draws from a split of its own (`noise.split`)."""
    steps: Tensor
    """(B,) int64 control steps since the episode began, this one included: the counter to draw at."""
    duration: float
    """[s]"""


class TaskResult(NamedTuple):
    """What a step did to a mission."""

    mission: Any
    """The mission's part of the state after the step."""
    terms: dict[str, Tensor]
    """(B,) terms of the reward by name, before their weights; every name is in `Mission.weights`."""
    terminated: Tensor
    """(B,) bool, where the episode ends for good: crashed, lost, or done."""


class Drawing(NamedTuple):
    """What a picture of a mission shows beside the drone."""

    target: Vector | None = None
    """(3,) [m]"""
    shapes: Sequence[Shape] = ()
    camera: Camera | None = None
    """None follows drone and target."""


class Mission(ABC):
    """Pure functions behind one task; a subclass fills in the class attributes and the abstract methods."""

    goal: str
    """What counts as success, in words that complete "an episode succeeds if ..."."""
    observation: tuple[Channel, ...]
    """What the observation says about the mission; the drone's own motion and actions follow it."""
    weights: Mapping[str, float]
    """Default weight of each term of the reward."""
    privileged: tuple[Channel, ...] = ()
    """What only a privileged critic is told about the mission."""
    noise: bool = False
    """Whether its steps draw random numbers."""
    control_hz: float = 100.0
    episode_seconds: float = 5.0
    target_radius: float = 0.1
    """Of the ball that marks the target in a picture [m]."""

    def __init__(
        self, options: FlightOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.options, self.parameters, self.dtype, self.device = options, parameters, dtype, device

    @abstractmethod
    def begin(self, draw: Draw, difficulty: Tensor) -> tuple[QuadrotorState, Any]:
        """Initial bodies and mission states of `draw.num` rows at a difficulty (num, 1) in [0, 1]."""

    @abstractmethod
    def observe(self, pose: Pose, mission: Any) -> Tensor:
        """(k, B) entries of `observation`, from what the sensors say."""

    @abstractmethod
    def advance(self, context: StepContext, mission: Any) -> TaskResult:
        """Judge one step by what truly happened."""

    @abstractmethod
    def success(self, state: FlightState) -> Tensor:
        """(B,) bool, whether an episode that ends here reached the goal; it alone decides, also where it terminated."""

    def hidden(self, pose: Pose, mission: Any) -> Tensor:
        """(p, B) entries of `privileged`, from the true pose."""
        return pose.position[:0]

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Quantities (B, k) worth plotting, named "name [unit]"; tilt, body rates and commands are added to them."""
        return {}

    def metrics(self, state: FlightState) -> dict[str, Tensor]:
        """(B,) figures of an episode that ends in this state, named "name [unit]"; NaN where it gives none."""
        return {}

    def drawing(self, state: FlightState, row: int) -> Drawing:
        """What to draw around the drone of one row."""
        return Drawing()

    def constant(self, *values: float) -> Tensor:
        """(k, 1) tensor that broadcasts against component-first vectors."""
        return torch.tensor(values, dtype=self.dtype, device=self.device).unsqueeze(1)

    def body(self, position: Tensor, velocity: Tensor, quaternion: Tensor, angular_velocity: Tensor) -> QuadrotorState:
        """Bodies (B, ...) whose rotors turn at hover speed."""
        speed = torch.full((len(position), 4), self.parameters.hover_rotor_speed, dtype=self.dtype, device=self.device)
        return QuadrotorState(position, velocity, quaternion, angular_velocity, speed)
