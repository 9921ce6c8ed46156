"""The control loop: in every slot it reads, calls the policy, and sends an action.

Slot k is at t_0 + k / control_hz of a monotonic clock, so there is no drift. A tick has to end by its deadline, a share
of the period after its slot. A slot whose deadline has passed is skipped and counts as missed. A slot whose deadline is
still ahead runs late. So there is at most one tick per slot, and no burst after an overrun.

These are misses (watchdog.py): a skipped slot; no observation, or one that has another size, is not finite or is older
than `max_age`; a policy that raises NoAction, TimeoutError or ConnectionError; an action that is late, not finite or
outside the bounds. Any other exception ends the flight, after `stop`.

A policy with memory is reset before its first action, where a reading begins an episode, and in every tick in which the
watchdog sends the safe action, so it takes over again with an empty memory.
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

_ROUNDING = 1e-6  # share of an action's range by which single precision may exceed a bound


@dataclass(frozen=True)
class LoopOptions:
    """Options of the loop; raises HgrpoError for a value outside its range."""

    seconds: Annotated[float, Range(above=0, infinite=True)] = math.inf
    """Duration of the flight [s]; inf has no limit."""
    deadline: Annotated[float, Range(above=0, most=1)] = 0.9
    """Share of the period in which a tick has to get its action; the rest is for sending it."""
    max_age: Annotated[float, Range(above=0, infinite=True)] = 0.1
    """Age at which an observation is no longer valid [s]."""
    safe_action: tuple[float, ...] | None = None
    """Action that is sent in the state `safe`; None takes that of the policy."""
    worker: bool = False
    """Whether to call the policy in a thread of its own, because it may block."""
    watchdog: WatchdogOptions = field(default_factory=WatchdogOptions)

    def __post_init__(self) -> None:
        check(self)


class Flight(NamedTuple):
    """How a flight ended."""

    reason: str
    """Why it ended, as text."""
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
    """Start the target, fly until the flight ends, and stop the target exactly once.

    Ctrl-C, SIGTERM and SIGHUP end the flight at the next tick; a second signal raises KeyboardInterrupt.

    Args:
        policy: Gives the actions.
        target: The simulator or vehicle.
        options: Options of the loop.
        clock: Clock of the loop; None for the computer's.
        record: Filled during the flight, so it is valid after an exception.
        statistics: Filled during the flight as well.

    Raises HgrpoError for a safe action outside the policy's bounds, and the exceptions of the target and the policy.
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
    """A tick without a valid action; the message is the reason."""


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
        self.last = self.safe  # until there is an action of the policy
        self.period = 1.0 / spec.control_hz
        self.watchdog, self.statistics = Watchdog(options.watchdog), statistics
        self.fresh = True  # until the policy has given an action from an empty memory
        self.source: ActionSource = Worker(policy, clock) if options.worker else Direct(policy)

    def run(self, signals: StopSignals) -> str:
        """Run until the flight ends; returns the reason."""
        start, slot = self.clock.now(), 0
        while True:
            self.clock.sleep_until(start + slot * self.period)
            slot = self._skip(start, slot)
            if self.watchdog.state is State.STOPPED:
                return "the watchdog stopped it: no tick for too long"
            if signals.requested:
                return "stopped by a signal"
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
        """The next slot whose deadline is ahead; slots before it are counted as misses."""
        late = (self.clock.now() - start) / self.period - self.options.deadline
        first = max(slot, math.floor(late) + 1)
        skipped = first - slot
        if skipped:
            self.statistics.skipped += skipped
            self.statistics.misses["skipped"] += skipped
            self.watchdog.miss(start + slot * self.period)
            self.watchdog.miss(start + (first - 1) * self.period)  # misses between the two change nothing
        return first

    def _tick(self, start: float, slot: float) -> str:
        """Run one slot; returns why there was no valid action, empty if there was one."""
        now = self.clock.now()
        self.statistics.jitter.add(max(0.0, now - slot))
        reading, action, missed = None, None, ""
        try:
            reading = self._read()
            # in SAFE the vehicle does not do what the policy remembers
            self.fresh = self.fresh or reading.begins or self.watchdog.state is State.SAFE
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
        """Apply and return the action that the state allows; None in `stopped`."""
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
            result: Any = self.source.ask(reading.observation, deadline, self.fresh)
        except NO_ACTION as error:
            raise _Miss("no action") from error
        self.fresh = False
        after = self.clock.now()
        self.statistics.policy.add(after - before)
        action = np.asarray(result, np.float64)
        if action.shape != self.low.shape:
            raise HgrpoError(f"the policy gave an action of shape {action.shape}; expected {self.low.shape}")
        if not np.isfinite(action).all():
            raise _Miss("action not finite")
        if (action < self.low - self.slack).any() or (action > self.high + self.slack).any():
            raise _Miss("action outside the bounds")
        if after > deadline:
            raise _Miss("action too late")
        return action.clip(self.low, self.high)


def _safe_action(spec: PolicySpec, given: tuple[float, ...] | None) -> NDArray[np.float64]:
    """The given safe action, or that of the policy; raises HgrpoError outside the bounds."""
    if given is None:
        return np.array(spec.safe_action, np.float64)
    if len(given) != spec.action_size:
        raise HgrpoError(f"safe_action has {len(given)} entries; the policy has {spec.action_size} actions")
    for entry, low, value, high in zip(spec.action, spec.action_low, given, spec.action_high, strict=True):
        if not low <= value <= high:
            raise HgrpoError(f"safe_action of {entry.name!r} is {value}; allowed: [{low:g}, {high:g}]")
    return np.array(given, np.float64)
