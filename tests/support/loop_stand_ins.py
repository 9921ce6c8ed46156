"""A policy and a target for tests of the loop, which do what they are told at every tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.spec import Channel, PolicySpec
from sim2real.flight.clock import SteppedClock
from sim2real.flight.target import Reading, TargetEnded

HZ = 128.0  # a power of two: every slot is a binary fraction, so that times are exact
SPEC = PolicySpec(
    "test", "none", HZ, (Channel("x"), Channel("y")), (Channel("a", "g"),), (-1.0,), (3.0,), (0.5,), hidden_sizes=()
)
OBSERVATION = np.array([1.0, 2.0], np.float32)


class ScriptedPolicy:
    """At its call number n (from 0) does script(n): a float is the action, an exception is raised, a function is
    called."""

    trained_on = None

    def __init__(self, script: Callable[[int], Any], spec: PolicySpec = SPEC) -> None:
        self.spec, self.script, self.calls, self.closings = spec, script, 0, 0

    def __call__(self, observation: NDArray[np.float32], /) -> NDArray[Any]:
        outcome = self.script(self.calls)
        self.calls += 1
        if callable(outcome):
            outcome = outcome()
        if isinstance(outcome, Exception):
            raise outcome
        return np.array([outcome])

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        self.closings += 1


class ScriptedTarget:
    """Shows script(n) at reading number n, by default a fresh observation; ends after `ticks` readings."""

    def __init__(self, clock: SteppedClock, ticks: int = 10**6, script: Callable[[int], Any] | None = None) -> None:
        self.clock, self.ticks, self.script = clock, ticks, script
        self.reads = self.stops = self.starts = 0
        self.applied: list[float] = []
        self.times: list[float] = []

    def start(self) -> None:
        self.starts += 1

    def read(self) -> Reading | None:
        if self.reads >= self.ticks:
            raise TargetEnded("enough")
        outcome = OBSERVATION if self.script is None else self.script(self.reads)
        self.reads += 1
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is None or isinstance(outcome, Reading):
            return outcome
        return Reading(np.asarray(outcome, np.float32), self.clock.now())

    def apply(self, action: NDArray[np.float64], /) -> None:
        self.applied.append(float(action[0]))
        self.times.append(self.clock.now())

    def stop(self) -> None:
        self.stops += 1


def misses(numbers: Sequence[int], otherwise: float = 1.0) -> Callable[[int], Any]:
    """A script with TimeoutError at these numbers, and action `otherwise` + n / 1024 elsewhere."""
    return lambda n: TimeoutError() if n in numbers else otherwise + n / 1024
