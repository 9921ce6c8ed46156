"""What a person may do to a running simulation: push, disturb, move the target."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor


class Disturbance(NamedTuple):
    """Hidden parameters that are set by hand; None keeps the value of the episode."""

    mass: float | None = None
    """Factor of the mass."""
    wind: tuple[float, float, float] | None = None
    """Constant acceleration in the world frame [m/s^2]."""
    rotors: tuple[float | None, ...] = ()
    """Factor of the thrust of each rotor."""


class Moved(NamedTuple):
    """A state after its target was moved."""

    state: Any
    frame: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """How far the origin of the state moved in the world that a viewer sees [m].

    A task whose target is a constant moves the robot the other way instead, and its origin with the target.
    """


@runtime_checkable
class Pushable(Protocol):
    """A simulator whose robot can be pushed."""

    def pushed(self, state: Any, velocity: Tensor) -> Any:
        """State after an impulse that changes the robot's velocity by `velocity` (B, 3) in the world [m/s]."""
        ...


@runtime_checkable
class Disturbable(Protocol):
    """A simulator whose hidden parameters can be set."""

    @property
    def can_be_disturbed(self) -> bool:
        """Whether hidden parameters have an effect."""
        ...

    def disturbed(self, state: Any, disturbance: Disturbance) -> Any:
        """State with the hidden parameters that `disturbance` sets."""
        ...


@runtime_checkable
class Targeted(Protocol):
    """A simulator with a point to be at."""

    def target_place(self, state: Any) -> Tensor | None:
        """(B, 3) the point [m]; None for a task without one."""
        ...

    def with_target_moved(self, state: Any, by: Tensor) -> Moved:
        """State with the point moved by (B, 3) [m]."""
        ...
