"""How the loop asks a policy: in its own thread, or in another where the policy may block.

A local policy answers in a small fraction of a period, and asking it directly costs nothing. One that may block, such
as a client of a server, is asked in a worker thread: the loop waits for it until the deadline and no longer. While the
worker is busy with a question that was given up, further ticks are misses at once, and the late answer is dropped; so
there is never more than one question on its way.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sim2real.flight.clock import Clock
from sim2real.flight.target import NoAction, Policy

NO_ACTION = (NoAction, TimeoutError, ConnectionError)
"""What means "no action this tick" when a policy raises it."""


class ActionSource(Protocol):
    """Where the loop gets its actions."""

    def ask(self, observation: NDArray[np.float32], deadline: float) -> NDArray[Any]:
        """Action of an observation; raises one of NO_ACTION where there is none by the deadline [s]."""
        ...

    def close(self) -> None:
        """Nothing will be asked any more."""
        ...


class Direct:
    """Asks in the loop's own thread; the answer may be late, which the loop sees by its clock."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def ask(self, observation: NDArray[np.float32], deadline: float) -> NDArray[Any]:
        """The policy's answer, or what it raises."""
        return self._policy(observation)

    def close(self) -> None:
        """Nothing to do."""


class Worker:
    """Asks in a daemon thread, which ends with the process even if the policy never answers."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy, self._clock = policy, clock
        self._changed = threading.Condition()
        self._question: NDArray[np.float32] | None = None
        self._answer: NDArray[Any] | Exception | None = None
        self._busy = self._given_up = self._closed = False
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)
        self._thread.start()

    def ask(self, observation: NDArray[np.float32], deadline: float) -> NDArray[Any]:
        """The policy's answer if it comes by the deadline, else TimeoutError; also while a former question is on its
        way. What the policy raises is raised here, at the next call if it came too late for its own."""
        with self._changed:
            if self._busy:
                self._given_up = True
                raise TimeoutError("the policy is still busy with an earlier observation")
            if isinstance(self._answer, Exception):  # of a question that was given up
                error, self._answer = self._answer, None
                raise error
            self._question, self._answer, self._busy, self._given_up = observation, None, True, False
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy, timeout=max(0.0, deadline - self._clock.now()))
            if self._busy:
                self._given_up = True
                raise TimeoutError("the policy did not answer by the deadline")
            answer, self._answer = self._answer, None
            if isinstance(answer, Exception):
                raise answer
            assert answer is not None  # a worker that is not busy has answered
            return answer

    def close(self) -> None:
        """End the thread once the policy has answered; does not wait for one that does not."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._question is not None)
                question, self._question = self._question, None
                if self._closed or question is None:
                    return
            answer: NDArray[Any] | Exception
            try:
                answer = self._policy(question)
            except Exception as error:  # handed to the loop's thread, which knows what it means
                answer = error
            with self._changed:
                fatal = isinstance(answer, Exception) and not isinstance(answer, NO_ACTION)
                self._answer = answer if fatal or not self._given_up else None
                self._busy = False
                self._changed.notify_all()
