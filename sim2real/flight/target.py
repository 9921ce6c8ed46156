"""The contract between the loop, what gives actions, and what flies."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError
from policies.spec import PolicySpec


class Policy(Protocol):
    """Whatever gives an action (A,) for an observation (O,), both in the units of its spec.

    NoAction, TimeoutError and ConnectionError mean "no action this tick", which is a miss like any other; the policy is
    asked again at the next one. Any other exception ends the flight, since nobody knows what it means.
    """

    @property
    def spec(self) -> PolicySpec:
        """What it reads and commands."""
        ...

    def __call__(self, observation: NDArray[np.float32], /) -> NDArray[Any]:
        """Action (A,) of an observation (O,)."""
        ...


class Reading(NamedTuple):
    """What a target saw."""

    observation: NDArray[np.float32]
    """(O,) in the units of the policy's spec."""
    stamp: float
    """When it was true, by the loop's clock [s]; of several parts the oldest."""


class Target(Protocol):
    """What flies. None of its methods may block for a noticeable part of a period but `start` and `stop`."""

    def start(self) -> None:
        """Make it ready to be commanded; may take seconds. Raises TargetError where it cannot be."""
        ...

    def read(self) -> Reading | None:
        """The newest observation, None if there is none yet.

        TimeoutError and ConnectionError count as none. Raises TargetEnded where the flight is over.
        """
        ...

    def apply(self, action: NDArray[np.float64], /) -> None:
        """Send an action (A,) within the bounds; called once per tick with what is truly commanded.

        A target that shows past actions in its observations takes them from here.
        """
        ...

    def stop(self) -> None:
        """Leave the vehicle to whatever makes it safe without us; called exactly once, whatever happened before.

        That includes a `start` that failed.
        """
        ...


class NoAction(Exception):
    """Raised by a policy that has no action for this observation; the message says why."""


class TargetError(HgrpoError):
    """Raised where a target cannot be flown; one line says why and what helps."""


class TargetEnded(Exception):
    """Raised by a target where the flight is over for a reason of its own, which the message says."""
