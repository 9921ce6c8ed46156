"""The loop that flies: at every slot of a fixed schedule it reads, asks the policy, and sends what the watchdog allows.

Slot k lies at t_0 + k / control_hz by a monotonic clock, so nothing drifts. A tick has until its deadline, a share of
the period after its slot. A slot whose deadline has passed before the loop came to it is skipped and counts as missed;
one whose deadline still lies ahead is run late. So there is at most one tick per slot, and an overrun is never made up
for by a burst.

These count as "no valid action", a miss (watchdog.py): a skipped slot; no observation, one of another size, one that is
not finite or older than `max_age`; a policy that raises NoAction, TimeoutError or ConnectionError; an action that
comes after the deadline, is not finite or lies outside the bounds. Any other exception ends the flight, after `stop`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError
from hgrpo_fields import Range, check
from hgrpo_signals import StopSignals
from policies.spec import PolicySpec
from sim2real.flight.action_source import (
    NO_ACTION,
    ActionSource,
    Direct,
    Worker,
)
from sim2real.flight.clock import Clock, MonotonicClock
from sim2real.flight.record import FlightRecord
from sim2real.flight.statistics import LoopStatistics
from sim2real.flight.target import (
    Policy,
    Reading,
    Target,
    TargetEnded,
)
from sim2real.flight.watchdog import State, Watchdog, WatchdogOptions

_ROUNDING = 1e-6  # of an action's range: what single precision may put beyond a bound


@dataclass(frozen=True)
class LoopOptions:
    """How the loop runs; raises ValueError for what means nothing."""

    seconds: Annotated[float, Range(above=0, infinite=True)] = math.inf
    """When to stop [s]; inf flies until something else does."""
    deadline: Annotated[float, Range(above=0, most=1)] = 0.9
    """Share of the period after its slot by which a tick's action has to be there; the rest is for sending it."""
    max_age: Annotated[float, Range(above=0, infinite=True)] = 0.1
    """Age at which an observation is no longer valid [s]."""
    safe_action: tuple[float, ...] | None = None
    """What is sent in `safe`; None takes the policy's own."""
    worker: bool = False
    """Ask the policy in a thread of its own, because it may block."""
    watchdog: WatchdogOptions = field(default_factory=WatchdogOptions)

    def __post_init__(self) -> None:
        check(self)


class Flight(NamedTuple):
    """How a flight ended."""

    reason: str
    """In words."""
    statistics: LoopStatistics
    stopped_by_watchdog: bool


def fly(
    policy: Policy,
    target: Target,
    options: LoopOptions = LoopOptions(),
    clock: Clock | None = None,
    record: FlightRecord | None = None,
    statistics: LoopStatistics | None = None,
) -> Flight:
    """Start the target, fly it until something ends the flight, and stop it exactly once, whatever happens.

    `record` and `statistics` are filled as it flies, so that they are there even if it ends in an exception.

    Ctrl-C and SIGTERM end it at the next tick, the second one at once. Raises ValueError for a safe action that the
    policy's bounds do not allow, and whatever the target's `start` or the policy raises.
    """
    clock = MonotonicClock() if clock is None else clock
    loop = _Loop(policy, target, options, clock, record, LoopStatistics() if statistics is None else statistics)
    with StopSignals(deferred=False) as signals:
        try:
            target.start()
            signals.defer()
            reason = loop.run(signals)
        finally:
            signals.ignore()
            loop.source.close()
            target.stop()
    return Flight(reason, loop.statistics, loop.watchdog.state is State.STOPPED)


class _Miss(Exception):
    """The message says why."""


class _Loop:
    def __init__(
        self,
        policy: Policy,
        target: Target,
        options: LoopOptions,
        clock: Clock,
        record: FlightRecord | None,
        statistics: LoopStatistics,
    ) -> None:
        spec = policy.spec
        self.spec, self.target, self.options, self.clock, self.record = spec, target, options, clock, record
        self.low, self.high = np.array(spec.action_low), np.array(spec.action_high)
        self.slack = _ROUNDING * (self.high - self.low)
        self.safe = _safe_action(spec, options.safe_action)
        self.last = self.safe  # until the policy has given one
        self.period = 1.0 / spec.control_hz
        self.watchdog, self.statistics = Watchdog(options.watchdog), statistics
        self.source: ActionSource = Worker(policy, clock) if options.worker else Direct(policy)

    def run(self, signals: StopSignals) -> str:
        """Tick until something ends the flight; says what."""
        start, slot = self.clock.now(), 0
        while True:
            self.clock.sleep_until(start + slot * self.period)
            slot = self._skip(start, slot)
            if self.watchdog.state is State.STOPPED:
                return "the watchdog stopped it: no tick for too long"
            if signals.requested:
                return "a signal asked for it"
            if slot * self.period >= self.options.seconds:
                return "the time was up"
            try:
                missed = self._tick(start, start + slot * self.period)
            except TargetEnded as ended:
                return str(ended)
            if self.watchdog.state is State.STOPPED:
                return f"the watchdog stopped it: {missed} for too long"
            slot += 1

    def _skip(self, start: float, slot: int) -> int:
        """The first slot from this one on whose deadline lies ahead; tells the watchdog of those that do not."""
        late = (self.clock.now() - start) / self.period - self.options.deadline
        first = max(slot, math.floor(late) + 1)
        skipped = first - slot
        if skipped:
            self.statistics.skipped += skipped
            self.statistics.misses["skipped"] += skipped
            self.watchdog.miss(start + slot * self.period)
            self.watchdog.miss(start + (first - 1) * self.period)  # those between change nothing
        return first

    def _tick(self, start: float, slot: float) -> str:
        """One slot: returns why there was no valid action, or nothing where there was one."""
        now = self.clock.now()
        self.statistics.jitter.add(max(0.0, now - slot))
        reading, action, missed = None, None, ""
        try:
            reading = self._read()
            now = self.clock.now()
            self._check_observation(reading, now)
            action = self._ask(reading, slot + self.options.deadline * self.period)
            state = self.watchdog.good()
        except _Miss as miss:
            missed = str(miss)
            self.statistics.misses[missed] += 1
            state = self.watchdog.miss(slot)
        self.statistics.ticks += 1
        self.statistics.states[state] += 1
        if action is not None and reading is not None and state is not State.SAFE:
            self.statistics.latency.add(max(0.0, self.clock.now() - reading.stamp))
        sent = self._send(state, action)
        if self.record is not None:
            self.record.add(slot - start, now, reading, sent, state, missed)
        return missed

    def _send(self, state: State, action: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """Apply and return what the state allows; None in `stopped`."""
        if state is State.STOPPED:
            return None
        if state is State.SAFE:
            action = self.safe
        elif action is None:
            action = self.last
        self.target.apply(action)
        self.last = action
        return action

    def _read(self) -> Reading:
        try:
            reading = self.target.read()
        except NO_ACTION as error:
            raise _Miss("no observation") from error
        if reading is None:
            raise _Miss("no observation")
        return reading

    def _check_observation(self, reading: Reading, now: float) -> None:
        if reading.observation.shape != (self.spec.observation_size,):
            raise _Miss("observation of another size")
        if not np.isfinite(reading.observation).all():
            raise _Miss("observation not finite")
        if not now - reading.stamp <= self.options.max_age:
            raise _Miss("observation too old")

    def _ask(self, reading: Reading, deadline: float) -> NDArray[np.float64]:
        before = self.clock.now()
        try:
            answer: Any = self.source.ask(reading.observation, deadline)
        except NO_ACTION as error:
            raise _Miss("no action") from error
        after = self.clock.now()
        self.statistics.policy.add(after - before)
        action = np.asarray(answer, np.float64)
        if action.shape != self.low.shape:
            raise HgrpoError(f"the policy gave an action of shape {action.shape}; its spec says {self.low.shape}")
        if not np.isfinite(action).all():
            raise _Miss("action not finite")
        if (action < self.low - self.slack).any() or (action > self.high + self.slack).any():
            raise _Miss("action outside the bounds")
        if after > deadline:
            raise _Miss("action too late")
        return action.clip(self.low, self.high)


def _safe_action(spec: PolicySpec, given: tuple[float, ...] | None) -> NDArray[np.float64]:
    """The given safe action, or the policy's own; raises ValueError where the bounds do not allow it."""
    if given is None:
        return np.array(spec.safe_action, np.float64)
    if len(given) != spec.action_size:
        raise HgrpoError(f"safe_action has {len(given)} entries; the policy has {spec.action_size} actions")
    for entry, low, value, high in zip(spec.action, spec.action_low, given, spec.action_high, strict=True):
        if not low <= value <= high:
            raise HgrpoError(f"safe_action of {entry.name!r} is {value}; allowed: [{low:g}, {high:g}]")
    return np.array(given, np.float64)
