"""From an observation to an action, for every protocol."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from sim2real.protocol.request_error import RequestError
from sim2real.server.core.history import History
from sim2real.server.core.policies import ServedPolicy, Version
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
        self._streams: dict[str, WeakSet[History]] = {name: WeakSet() for name in policies}
        metrics.streams = self.streams

    def streams(self) -> dict[str, int]:
        """Number of streams with a memory, by the name of the policy."""
        since = time.monotonic() - self.settings.stream_timeout
        return {name: sum(one.remembers(since) for one in streams) for name, streams in self._streams.items()}

    def one(self, served: ServedPolicy, observation: Any, history: History, number: str | None = None) -> Answer:
        """Action (1, A) of one observation, as the next step of a stream.

        Args:
            served: The policy.
            observation: (O,) as the client sent it.
            history: Stream; the action becomes its previous action. A stream with a memory that was silent for longer
                than `stream_timeout` begins anew.
            number: Number of the version; None for the active one.

        Raises RequestError.
        """
        version = served.version(number)
        batch = version.observations.one(observation)
        before = time.perf_counter()
        wanted = self._carried(served, version, batch, history) if version.remembers else version.policy.run(batch)
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
        if version.remembers:
            raise RequestError("unknown_stream", "this policy has memory: give sequence_id and sequence_start")
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

    def _carried(
        self, served: ServedPolicy, version: Version, batch: NDArray[np.float32], history: History
    ) -> NDArray[np.float32]:
        """Action (1, A) with the memory of a stream, which is carried on."""
        now = time.monotonic()
        if history.remembers() and not history.remembers(now - self.settings.stream_timeout):
            history.reset()
        action, memory = version.policy.step(batch, history.memory(version))
        history.remember(memory, version, now)
        self._streams[served.name].add(history)
        return action

    def _keep(
        self, served: ServedPolicy, observation: NDArray[np.float32], answer: Answer, history: History | None
    ) -> None:
        if answer.limited:
            self.metrics.limited[served.name] += 1
        if self._recorder is not None:
            stream = (history.number, history.fresh, history.sequence) if history else (0, True, -1)
            step = Step(time.time(), served.name, answer.version, *stream, answer.limited, observation, answer.action)
            self._recorder.put(step)
