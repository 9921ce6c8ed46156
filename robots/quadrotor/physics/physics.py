"""Contract of physics engines that replace the built-in dynamics."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from hgrpo_errors import HgrpoError
from robots.quadrotor.body.dynamics import QuadrotorState


class PhysicsError(HgrpoError):
    """An engine that diverged: a pose or a velocity is not finite."""


class Physics(Protocol):
    """An engine as a pure function of the body's state and the motor commands.

    It keeps nothing between calls, so states can be stored, copied and branched as with the built-in dynamics.
    """

    def step(self, body: QuadrotorState, motors: Tensor) -> tuple[QuadrotorState, Tensor]:
        """Apply constant motor commands for one period.

        Args:
            body: B bodies.
            motors: (B, 4) motor commands in [-1, 1].

        Returns:
            The bodies after the period, and (B,) bool, true where a body touches the floor.

        Raises:
            PhysicsError: The engine diverged.
        """
        ...

    def close(self) -> None:
        """Stop the processes of the engine."""
        ...
