"""From an observation to an action, for every protocol."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim2real.protocol.request_error import RequestError
from sim2real.server.core.history import History
from sim2real.server.core.policies import ServedPolicy
from sim2real.server.core.recording import Recorder, Step
from sim2real.server.metrics import Metrics
from sim2real.server.settings import ServerSettings


class Answer(NamedTuple):
    """Actions of a policy."""

    action: NDArray[np.float32]
    """(B, A) in the units of the policy's spec."""
    version: str
    """Number of the policy's version."""
    limited: bool
    """Whether a guard has changed an action."""
    seconds: float
    """Time in the policy [s]."""


class Inference:
    """Guards, policy, guards and recording.

    Runs in the thread of the event loop, so a request has one version.

    Args:
        policies: Served policies by name.
        settings: Settings of the server.
        metrics: Counters of the server.
        recorder: Recorder of all steps; None without one.
    """

    def __init__(
        self,
        policies: Mapping[str, ServedPolicy],
        settings: ServerSettings,
        metrics: Metrics,
        recorder: Recorder | None,
    ) -> None:
        self.policies = policies
        self.settings = settings
        self.metrics = metrics
        self._recorder = recorder

    def one(self, served: ServedPolicy, observation: Any, history: History, number: str | None = None) -> Answer:
        """Action (1, A) of one observation, as the next step of a stream.

        Args:
            served: The policy.
            observation: (O,) as the client sent it.
            history: Stream; the action becomes its previous action.
            number: Number of the version; None for the active one.

        Raises RequestError.
        """
        version = served.version(number)
        batch = version.observations.one(observation)
        before = time.perf_counter()
        wanted = version.policy.run(batch)
        seconds = time.perf_counter() - before
        action, limited = version.actions.limit(wanted, history.previous)
        answer = Answer(action, version.number, limited, seconds)
        self._keep(served, batch, answer, history)
        history.previous = action[0]
        history.fresh = False
        return answer

    def many(self, served: ServedPolicy, observation: Any, number: str | None = None) -> Answer:
        """Actions (B, A) of observations without a stream.

        Args:
            served: The policy.
            observation: (B, O) or (O,) as the client sent it.
            number: Number of the version; None for the active one.

        Raises RequestError.
        """
        version = served.version(number)
        if version.actions.needs_previous:
            raise RequestError(
                "unknown_stream", "this server limits how fast actions change: give sequence_id and sequence_start"
            )
        batch = version.observations.batch(observation)
        most = self.settings.max_batch
        if not 1 <= len(batch) <= most:
            raise RequestError("too_large", f"{len(batch)} observations in one request; allowed: 1 to {most}")
        before = time.perf_counter()
        wanted = version.policy.run(batch)
        seconds = time.perf_counter() - before
        action, limited = version.actions.limit(wanted, None)
        answer = Answer(action, version.number, limited, seconds)
        self._keep(served, batch, answer, None)
        return answer

    def _keep(
        self, served: ServedPolicy, observation: NDArray[np.float32], answer: Answer, history: History | None
    ) -> None:
        if answer.limited:
            self.metrics.limited[served.name] += 1
        if self._recorder is not None:
            stream = (history.number, history.fresh, history.sequence) if history else (0, True, -1)
            step = Step(time.time(), served.name, answer.version, *stream, answer.limited, observation, answer.action)
            self._recorder.put(step)
