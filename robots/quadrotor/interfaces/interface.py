"""Contract of command interfaces, which convert commands of a policy to motor commands."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.simulator import Channel

ACTIONS = 4
"""Entries of every command."""
INNER_HZ = 500.0
"""Rate of the inner loops [Hz], as in the firmware of small quadrotors."""


def substeps_at(control_hz: float) -> int:
    """Number of inner-loop steps per control step."""
    return max(1, round(INNER_HZ / control_hz))


class Interface:
    """Inner loops between commands and motors that run `substeps` times per control step.

    The loops themselves are in control_step.py. As on a real autopilot, they use the nominal airframe and not the
    hidden parameters of the episode.
    """

    name: str
    """Value of the option `interface`."""
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
    loopless: bool = False
    """Whether commands are motor commands, so that no loop runs."""
    gains: Tensor
    """(29,) gains of the loops; see rate_loop.py."""

    def begin(self, body: QuadrotorState) -> Any:
        """Memory at the start of an episode: a NamedTuple of (B, ...) tensors, or () for none."""
        return ()

    def signals(self, command: Tensor) -> dict[str, Tensor]:
        """Commands (B, A) as signals to plot."""
        return {
            f"{entry.name.replace('_', ' ')} [{entry.unit}]": command[:, i, None] for i, entry in enumerate(self.action)
        }
