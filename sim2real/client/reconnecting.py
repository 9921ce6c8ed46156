"""A policy behind a connection that comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError
from policies.spec import PolicySpec
from sim2real.flight.target import Policy
from sim2real.policy.trained_on import TrainedOn


class Connection(Policy, Protocol):
    """A policy that holds a connection."""

    @property
    def trained_on(self) -> TrainedOn | None:
        """What it was trained on, where that is known."""
        ...

    def close(self) -> None:
        """End it; again does nothing."""
        ...


class Reconnecting:
    """The policy that `connect` gives; after a ConnectionError it is closed, and connected to anew when next asked.

    `connect` raises ConnectionError or TimeoutError where there is nobody to connect to, and both pass through: to the
    loop that is "no action this tick". It may block, so such a policy belongs into a Worker. Raises ValueError where
    what is found after a reconnection is another policy by its spec.
    """

    spec: PolicySpec
    trained_on: TrainedOn | None

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._policy: Connection | None = connect()
        self.spec, self.trained_on = self._policy.spec, self._policy.trained_on

    def __call__(self, observation: NDArray[np.float32], /) -> NDArray[Any]:
        """Action (A,) of an observation (O,)."""
        if self._policy is None:
            policy = self._connect()
            if policy.spec != self.spec:
                policy.close()
                raise HgrpoError(f"the policy for {self.spec.task!r} came back as another, for {policy.spec.task!r}")
            self._policy = policy
        try:
            return self._policy(observation)
        except ConnectionError:
            self.close()
            raise

    def close(self) -> None:
        """End the connection, if there is one; the next question makes another."""
        if self._policy is not None:
            self._policy.close()
            self._policy = None
