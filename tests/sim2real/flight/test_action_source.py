"""Policies that block, and policies behind connections that come and go."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import pytest
from support.loop_stand_ins import HZ, OBSERVATION, SPEC, ScriptedPolicy, ScriptedTarget

from sim2real.client.reconnecting import Reconnecting
from sim2real.flight.clock import SteppedClock
from sim2real.flight.loop import LoopOptions, fly
from sim2real.flight.watchdog import State, WatchdogOptions

WATCHDOG = WatchdogOptions(hold_seconds=3 / HZ, safe_seconds=4 / HZ, recovery_ticks=2)
OPTIONS = LoopOptions(watchdog=WATCHDOG)


def test_a_policy_that_blocks_does_not_block_the_loop() -> None:
    clock = SteppedClock()
    answered = threading.Event()
    target = ScriptedTarget(clock, 100)
    policy = ScriptedPolicy(lambda n: (lambda: answered.wait(20.0) and 2.0) if n == 1 else 1.0)
    try:
        flight = fly(policy, target, LoopOptions(watchdog=WATCHDOG, worker=True), clock)
    finally:
        answered.set()
    assert flight.stopped_by_watchdog  # long before the policy answered
    assert policy.calls <= 2  # the answer that never came was waited for, and no other was asked for
    assert target.applied[:4] == [1.0] * 4
    assert target.applied[4:] == [0.5] * 4


def test_a_late_answer_is_dropped_and_the_policy_asked_anew() -> None:
    clock = SteppedClock()
    answered, done = threading.Event(), threading.Event()

    def late() -> float:
        assert answered.wait(20.0)
        done.set()
        return 2.5

    def readings(n: int) -> Any:
        if n == 3:  # two misses in slots 1 and 2; before slot 3 the late answer comes
            answered.set()
            assert done.wait(20.0)
            time.sleep(0.05)  # until the worker has put it away
        return OBSERVATION

    target = ScriptedTarget(clock, 5, readings)
    policy = ScriptedPolicy(lambda n: late if n == 1 else 1.0 + n / 1024)
    flight = fly(policy, target, LoopOptions(watchdog=WATCHDOG, worker=True), clock)
    assert 2.5 not in target.applied
    assert target.applied[-1] > 1.0
    assert flight.statistics.misses["no action"] >= 2


def test_what_a_worker_raises_ends_the_flight_in_the_loops_thread() -> None:
    clock = SteppedClock()
    target = ScriptedTarget(clock, 100)
    with pytest.raises(ZeroDivisionError):
        fly(ScriptedPolicy(lambda n: ZeroDivisionError()), target, LoopOptions(worker=True), clock)
    assert target.stops == 1


def test_a_server_that_comes_back_is_connected_to_again() -> None:
    connections: list[ScriptedPolicy] = []
    down = 2

    def connect() -> ScriptedPolicy:
        nonlocal down
        if connections and down:
            down -= 1
            raise ConnectionRefusedError
        # the first connection breaks at its third question
        connections.append(ScriptedPolicy(lambda n: ConnectionResetError() if n == 2 and len(connections) == 1 else 1))
        return connections[-1]

    clock = SteppedClock()
    target = ScriptedTarget(clock, 8)
    flight = fly(Reconnecting(connect), target, OPTIONS, clock)
    assert len(connections) == 2
    assert flight.statistics.misses == {"no action": 3}  # broken once, refused twice
    assert flight.statistics.states[State.STOPPED] == 0


def test_another_policy_behind_the_same_address_is_refused() -> None:
    specs = iter((SPEC, dataclasses.replace(SPEC, task="other")))
    policy = Reconnecting(lambda: ScriptedPolicy(lambda n: ConnectionResetError(), next(specs)))
    with pytest.raises(ConnectionResetError):
        policy(OBSERVATION)
    with pytest.raises(ValueError, match=r"for 'other'; expected .* 'test'"):
        policy(OBSERVATION)
