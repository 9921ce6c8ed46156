"""A remote policy that reconnects after a lost connection."""

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
    """A policy behind a connection."""

    @property
    def trained_on(self) -> TrainedOn | None:
        """Task options and airframe of the training; None if they are unknown."""
        ...

    def reset(self) -> None:
        """Forget everything, as at the beginning of an episode."""
        ...

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        ...


class Reconnecting:
    """The policy that `connect` returns; after a ConnectionError the next call connects again.

    ConnectionError and TimeoutError of `connect` pass through: the loop counts them as "no action in this tick".
    `connect` may block, so call such a policy in a Worker. Raises HgrpoError if the spec differs after a reconnection.
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
                raise HgrpoError(
                    f"the server has another policy after reconnecting: for {policy.spec.task!r}; "
                    f"expected the one for {self.spec.task!r}"
                )
            self._policy = policy
        try:
            return self._policy(observation)
        except ConnectionError:
            self.close()
            raise

    def reset(self) -> None:
        """Forget everything, as at the beginning of an episode; a new connection begins like that anyway."""
        if self._policy is not None:
            self._policy.reset()

    def close(self) -> None:
        """Close the connection, if there is one; the next call connects again."""
        if self._policy is not None:
            self._policy.close()
            self._policy = None
