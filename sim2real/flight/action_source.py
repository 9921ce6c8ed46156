"""Calls of a policy in the thread of the loop, or in a worker thread.

A local policy returns within a small fraction of a period, so the loop calls it directly. A policy that may block, such
as a client of a server, runs in a worker thread, and the loop waits until the deadline. While the worker is busy with a
call that was given up, further ticks are misses immediately, and the late action is dropped. So there is at most one
call at a time.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sim2real.flight.clock import Clock
from sim2real.flight.target import NoAction, Policy, Resets

NO_ACTION = (NoAction, TimeoutError, ConnectionError)
"""Exceptions of a policy that mean "no action in this tick"."""


class ActionSource(Protocol):
    """Source of the loop's actions."""

    def ask(self, observation: NDArray[np.float32], deadline: float, fresh: bool = False) -> NDArray[Any]:
        """Action (A,) of an observation (O,); with `fresh` the policy is reset before.

        Raises one of NO_ACTION if there is none by the deadline [s].
        """
        ...

    def close(self) -> None:
        """End the source."""
        ...


class Direct:
    """Calls the policy in the thread of the loop, which checks the deadline afterwards."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def ask(self, observation: NDArray[np.float32], deadline: float, fresh: bool = False) -> NDArray[Any]:
        """The action of the policy; its exceptions pass through."""
        return _act(self._policy, observation, fresh)

    def close(self) -> None:
        """Do nothing."""


class Worker:
    """Calls the policy in a daemon thread.

    The thread ends with the process, even if the policy never returns.
    """

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy, self._clock = policy, clock
        self._changed = threading.Condition()
        self._request: tuple[NDArray[np.float32], bool] | None = None
        self._result: NDArray[Any] | Exception | None = None
        self._busy = self._given_up = self._closed = False
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)
        self._thread.start()

    def ask(self, observation: NDArray[np.float32], deadline: float, fresh: bool = False) -> NDArray[Any]:
        """The action, if the policy returns by the deadline [s] of the loop's clock.

        Raises TimeoutError if it does not, or is still busy with an earlier call. An exception of the policy is raised
        here; if it came after the deadline, in the next call.
        """
        with self._changed:
            if self._busy:
                self._given_up = True
                raise TimeoutError("the policy is still busy with an earlier observation")
            if isinstance(self._result, Exception):  # of a call that was given up
                error, self._result = self._result, None
                raise error
            self._request, self._result, self._busy, self._given_up = (observation, fresh), None, True, False
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy, timeout=max(0.0, deadline - self._clock.now()))
            if self._busy:
                self._given_up = True
                raise TimeoutError("the policy returned no action by the deadline")
            result, self._result = self._result, None
            if isinstance(result, Exception):
                raise result
            assert result is not None  # a worker that is not busy has a result
            return result

    def close(self) -> None:
        """End the thread when the policy returns; does not wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._request is not None)
                request, self._request = self._request, None
                if self._closed or request is None:
                    return
            result: NDArray[Any] | Exception
            try:
                result = _act(self._policy, *request)
            except Exception as error:  # raised in the thread of the loop
                result = error
            with self._changed:
                fatal = isinstance(result, Exception) and not isinstance(result, NO_ACTION)
                self._result = result if fatal or not self._given_up else None
                self._busy = False
                self._changed.notify_all()


def _act(policy: Policy, observation: NDArray[np.float32], fresh: bool) -> NDArray[Any]:
    if fresh and isinstance(policy, Resets):
        policy.reset()
    return policy(observation)
