"""Interfaces of the loop: the policy that gives actions, and the target that flies."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError
from policies.spec import PolicySpec


class Policy(Protocol):
    """A callable with an action (A,) for an observation (O,), in its units.

    NoAction, TimeoutError and ConnectionError mean "no action in this tick". This is a miss like any other, and the
    policy is called again in the next tick. Any other exception ends the flight.
    """

    @property
    def spec(self) -> PolicySpec:
        """Interface of the policy."""
        ...

    def __call__(self, observation: NDArray[np.float32], /) -> NDArray[Any]:
        """Action (A,) of an observation (O,)."""
        ...


@runtime_checkable
class Resets(Protocol):
    """A policy that carries a memory from call to call, or may."""

    def reset(self) -> None:
        """Forget everything, as at the beginning of an episode."""
        ...


class Reading(NamedTuple):
    """A measurement of a target."""

    observation: NDArray[np.float32]
    """(O,) in the units of the policy's spec."""
    stamp: float
    """Time of the measurement, by the loop's clock [s]; the oldest of several parts."""
    begins: bool = False
    """Whether an episode begins with it, so that the policy has to forget the one before."""


class Target(Protocol):
    """A simulator or a vehicle.

    Only `start` and `stop` may take a noticeable part of a period.
    """

    def start(self) -> None:
        """Prepare for commands; may take seconds. Raises TargetError on failure."""
        ...

    def read(self) -> Reading | None:
        """The newest observation; None without one. TimeoutError and ConnectionError mean the same.

        Raises TargetEnded if the flight is over.
        """
        ...

    def apply(self, action: NDArray[np.float64], /) -> None:
        """Send an action (A,) within the bounds.

        Called once per tick with the action that is commanded.

        These are the past actions in the observations of a target.
        """
        ...

    def stop(self) -> None:
        """Leave the vehicle in a state that is safe without this program.

        Called exactly once in every flight, also if `start` failed.
        """
        ...


class NoAction(Exception):
    """Raised by a policy without an action for this observation; the message is the reason."""


class TargetError(HgrpoError):
    """Raised for a target that cannot be flown."""


class TargetEnded(Exception):
    """Raised by a target to end the flight; the message is the reason."""
