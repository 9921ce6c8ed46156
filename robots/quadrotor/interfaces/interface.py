"""The contract between a quadrotor's simulator and what turns a policy's command into motor commands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.simulator import Channel

INNER_HZ = 500.0
"""Rate of the inner loops, as in the firmware of small quadrotors."""


def substeps_at(control_hz: float) -> int:
    """How often the inner loops run per control step."""
    return max(1, round(INNER_HZ / control_hz))


class Interface(ABC):
    """An inner loop that runs `substeps` times per control step, between a command and the motors.

    Its functions are pure: what it remembers is handed in and given back. A real autopilot knows the nominal airframe
    and not what was drawn for the episode, and so does an interface.
    """

    action: tuple[Channel, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    neutral: tuple[float, ...]
    """The command that holds a drone at rest."""
    substeps: int

    def begin(self, body: QuadrotorState) -> Any:
        """What the inner loop remembers at the start of an episode: a NamedTuple of (B, ...) tensors, () if nothing."""
        return ()

    @abstractmethod
    def motors(self, command: Tensor, body: QuadrotorState, memory: Any, duration: float) -> tuple[Tensor, Any]:
        """Motor commands (4, B) in [-1, 1] for the next `duration` seconds, and what is remembered then.

        `command` (A, B) is held over all substeps of a control step.
        """

    def signals(self, command: Tensor) -> dict[str, Tensor]:
        """Commands (B, A) as quantities worth plotting."""
        return {
            f"{entry.name.replace('_', ' ')} [{entry.unit}]": command[:, i, None] for i, entry in enumerate(self.action)
        }
