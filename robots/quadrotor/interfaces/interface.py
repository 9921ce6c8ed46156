"""Contract of command interfaces, which convert commands of a policy to motor commands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.simulator import Channel

INNER_HZ = 500.0
"""Rate of the inner loops [Hz], as in the firmware of small quadrotors."""


def substeps_at(control_hz: float) -> int:
    """Number of inner-loop steps per control step."""
    return max(1, round(INNER_HZ / control_hz))


class Interface(ABC):
    """An inner loop between commands and motors that runs `substeps` times per control step.

    Its functions are pure: memory is an argument and a result. As on a real autopilot, the loops use the nominal
    airframe and not the hidden parameters of the episode.
    """

    action: tuple[Channel, ...]
    """The A entries of a command."""
    low: tuple[float, ...]
    """Smallest value of each entry."""
    high: tuple[float, ...]
    """Largest value of each entry."""
    neutral: tuple[float, ...]
    """Command that keeps a drone at rest."""
    substeps: int
    """Inner-loop steps per control step."""

    def begin(self, body: QuadrotorState) -> Any:
        """Memory at the start of an episode: a NamedTuple of (B, ...) tensors, or () for none."""
        return ()

    @abstractmethod
    def motors(self, command: Tensor, body: QuadrotorState, memory: Any, duration: float) -> tuple[Tensor, Any]:
        """Motor commands for one inner-loop step.

        Args:
            command: (A, B) command, constant during the control step.
            body: B bodies.
            memory: Memory of the loop.
            duration: Length of the inner-loop step [s].

        Returns:
            Motor commands (4, B) in [-1, 1] and the new memory.
        """

    def signals(self, command: Tensor) -> dict[str, Tensor]:
        """Commands (B, A) as signals to plot."""
        return {
            f"{entry.name.replace('_', ' ')} [{entry.unit}]": command[:, i, None] for i, entry in enumerate(self.action)
        }
