"""Ctrl-C and SIGTERM during a flight."""

from __future__ import annotations

import os
import signal

import pytest
from support.loop_stand_ins import ScriptedPolicy, ScriptedTarget

from sim2real.flight.clock import SteppedClock
from sim2real.flight.loop import LoopOptions, fly

OPTIONS = LoopOptions()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_at_the_next_tick(number: int) -> None:
    before = signal.getsignal(number)
    clock = SteppedClock()
    target = ScriptedTarget(clock)
    policy = ScriptedPolicy(lambda n: (lambda: os.kill(os.getpid(), number) or 1.0) if n == 2 else 1.0)
    flight = fly(policy, target, OPTIONS, clock)
    assert target.stops == 1
    assert "signal" in flight.reason
    assert len(target.applied) == 3  # the tick in which it came was finished
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait_for_the_tick() -> None:
    clock = SteppedClock()
    target = ScriptedTarget(clock)
    twice = lambda: [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        fly(ScriptedPolicy(lambda n: twice if n == 1 else 1.0), target, OPTIONS, clock)
    assert target.stops == 1


def test_a_signal_while_starting_stops_too_and_one_while_stopping_is_ignored() -> None:
    clock = SteppedClock()
    target = ScriptedTarget(clock)
    stopped = []

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        stopped.append(True)

    target.start = lambda: os.kill(os.getpid(), signal.SIGTERM)  # type: ignore[method-assign]
    target.stop = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        fly(ScriptedPolicy(lambda n: 1.0), target, OPTIONS, clock)
    assert stopped == [True]
