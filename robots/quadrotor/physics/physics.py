"""The contract between a quadrotor's tasks and an engine that moves its body in place of dynamics.py."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from hgrpo_errors import HgrpoError
from robots.quadrotor.body.dynamics import QuadrotorState


class PhysicsError(HgrpoError):
    """Raised where an engine gives up: a pose or a velocity is not finite any more."""


class Physics(Protocol):
    """An engine as a pure function: it is put into a state, runs for the period it was made for, and is read again.

    Nothing is kept from call to call, so states may be stored, copied and branched as with the built-in dynamics.
    """

    def step(self, body: QuadrotorState, motors: Tensor) -> tuple[QuadrotorState, Tensor]:
        """Bodies after motor commands (B, 4) in [-1, 1] were held for one period, and (B,) bool, which of them touch
        the floor. Raises PhysicsError."""
        ...

    def close(self) -> None:
        """End what the engine runs beside this process."""
        ...
