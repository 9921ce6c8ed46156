"""The loop on a clock that tests move: every slot, miss and state is exact."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.loop_stand_ins import HZ, OBSERVATION, SPEC, ScriptedPolicy, ScriptedTarget, misses

from hgrpo_files import FileError
from sim2real.flight.clock import MonotonicClock, SteppedClock
from sim2real.flight.loop import Flight, LoopOptions, fly
from sim2real.flight.record import STATES, FlightRecord
from sim2real.flight.target import Reading
from sim2real.flight.watchdog import State, WatchdogOptions

PERIOD = 1.0 / HZ
WATCHDOG = WatchdogOptions(hold_seconds=3 * PERIOD, safe_seconds=4 * PERIOD, recovery_ticks=2)
OPTIONS = LoopOptions(watchdog=WATCHDOG)


def flown(
    script: Any, ticks: int, options: LoopOptions = OPTIONS, readings: Any = None
) -> tuple[Flight, ScriptedTarget]:
    clock = SteppedClock(5.0)
    target = ScriptedTarget(clock, ticks, readings)
    flight = fly(ScriptedPolicy(script), target, options, clock)
    assert (target.starts, target.stops) == (1, 1)
    return flight, target


def test_a_flight_without_misses() -> None:
    flight, target = flown(lambda n: n / 64, 6)
    assert flight.reason == "enough"
    assert not flight.stopped_by_watchdog
    assert target.applied == [n / 64 for n in range(6)]
    assert target.times == [5.0 + n * PERIOD for n in range(6)]
    assert flight.statistics.missed == 0


def test_the_time_is_up_after_its_slots() -> None:
    flight, target = flown(lambda n: 0.0, 100, LoopOptions(seconds=4 * PERIOD))
    assert flight.reason == "the time was up"
    assert target.reads == 4


def test_last_action_then_safe_action_then_stop() -> None:
    flight, target = flown(misses(range(2, 100)), 100)
    last = 1.0 + 1 / 1024
    # misses from slot 2: held in slots 2, 3, 4; safe in 5, 6, 7, 8; stopped in slot 9
    assert target.applied == [1.0, last, last, last, last, 0.5, 0.5, 0.5, 0.5]
    assert flight.stopped_by_watchdog
    assert flight.reason == "the watchdog stopped it: no action for too long"
    assert flight.statistics.misses == {"no action": 8}
    assert flight.statistics.states == {State.FLYING: 2, State.HOLDING: 3, State.SAFE: 4, State.STOPPED: 1}


def test_another_safe_action() -> None:
    _, target = flown(misses(range(100)), 100, LoopOptions(watchdog=WATCHDOG, safe_action=(-0.25,)))
    # nothing to hold yet: the safe action from the start
    assert target.applied == [-0.25] * 7


def test_good_actions_are_applied_at_once_in_holding_and_after_recovery_in_safe() -> None:
    _, target = flown(misses((1, *range(6, 10))), 13)
    value = [1.0 + n / 1024 for n in range(13)]
    held = [value[0], value[0], *value[2:6]]  # slot 1 missed, 2 and 3 recover
    # 6, 7, 8 hold; 9 is safe, 10 too; 11 is the second good one in a row
    assert target.applied == [*held, *[value[5]] * 3, 0.5, 0.5, value[11], value[12]]


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (None, "no observation"),
        (TimeoutError(), "no observation"),
        (ConnectionError(), "no observation"),
        ([np.nan, 0.0], "observation not finite"),
        ([0.0, np.inf], "observation not finite"),
        ([0.0, 1.0, 2.0], "observation of another size"),
        (Reading(OBSERVATION, 4.5), "observation too old"),
        (Reading(OBSERVATION, np.nan), "observation too old"),
    ],
)
def test_observations_that_do_not_count(reading: Any, reason: str) -> None:
    flight, target = flown(misses(()), 3, readings=lambda n: reading if n == 1 else OBSERVATION)
    assert flight.statistics.misses == {reason: 1}
    assert target.applied == [1.0, 1.0, 1.0 + 1 / 1024]  # the policy was not asked in slot 1


def test_an_observation_of_just_the_greatest_age_counts() -> None:
    options = LoopOptions(max_age=0.25)
    flight, _ = flown(misses(()), 1, options, readings=lambda n: Reading(OBSERVATION, 4.75))
    assert flight.statistics.missed == 0
    assert flight.statistics.latency.largest == 0.25


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (TimeoutError(), "no action"),
        (ConnectionResetError(), "no action"),
        (np.nan, "action not finite"),
        (np.inf, "action not finite"),
        (3.1, "action outside the bounds"),
        (-1.1, "action outside the bounds"),
    ],
)
def test_actions_that_are_refused(outcome: Any, reason: str) -> None:
    flight, target = flown(lambda n: outcome if n == 1 else 1.0, 3)
    assert flight.statistics.misses == {reason: 1}
    assert target.applied == [1.0, 1.0, 1.0]


def test_an_action_that_rounding_put_beyond_a_bound_is_clipped() -> None:
    flight, target = flown(lambda n: 3.0 + 3e-6, 1)
    assert target.applied == [3.0]
    assert flight.statistics.missed == 0


def test_a_late_action_is_refused_and_the_slot_after_it_run() -> None:
    clock = SteppedClock(5.0)
    target = ScriptedTarget(clock, 4)
    slow = ScriptedPolicy(lambda n: (lambda: clock.advance(0.95 * PERIOD) or 2.0) if n == 1 else 1.0)
    flight = fly(slow, target, OPTIONS, clock)
    assert flight.statistics.misses == {"action too late": 1}
    assert flight.statistics.skipped == 0
    assert target.applied == [1.0] * 4
    assert target.times == [5.0, 5.0 + 1.95 * PERIOD, 5.0 + 2 * PERIOD, 5.0 + 3 * PERIOD]


def test_after_an_overrun_slots_are_skipped_and_the_schedule_kept() -> None:
    clock = SteppedClock(5.0)
    target = ScriptedTarget(clock, 4)
    policy = ScriptedPolicy(lambda n: (lambda: clock.advance(3.25 * PERIOD) or 1.0) if n == 1 else 1.0)
    flight = fly(policy, target, OPTIONS, clock)
    # slot 1 ends at 4.25 periods: slots 2 and 3 are gone, slot 4 is run 0.25 periods late, 5 is on time
    assert target.times == [5.0 + n * PERIOD for n in (0, 4.25, 4.25, 5)]
    assert flight.statistics.misses == {"action too late": 1, "skipped": 2}
    assert flight.statistics.jitter.largest == 0.25 * PERIOD
    assert flight.statistics.ticks == 4


def test_a_suspended_loop_stops_when_it_wakes() -> None:
    clock = SteppedClock(5.0)
    target = ScriptedTarget(clock)
    policy = ScriptedPolicy(lambda n: (lambda: clock.advance(3600.0) or 1.0) if n == 2 else 1.0)
    flight = fly(policy, target, OPTIONS, clock)
    assert flight.stopped_by_watchdog
    assert len(target.applied) == 3  # the last action, held in the slot that took an hour
    assert target.stops == 1
    assert flight.statistics.skipped == 3600 * 128 - 1  # it woke on time for a slot, the 460,800th after its own


@pytest.mark.parametrize("where", ["start", "read", "policy", "apply"])
@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_any_exception_stops_the_target_once(where: str, error: BaseException) -> None:
    clock = SteppedClock()
    target = ScriptedTarget(clock)

    def fail(*_: object) -> Any:
        raise error

    policy = ScriptedPolicy((lambda n: fail) if where == "policy" else lambda n: 1.0)
    if where != "policy":
        setattr(target, where, fail)
    with pytest.raises(type(error)):
        fly(policy, target, OPTIONS, clock)
    assert target.stops == 1


def test_an_action_of_another_size_ends_the_flight() -> None:
    clock = SteppedClock()
    target = ScriptedTarget(clock)
    with pytest.raises(ValueError, match=r"action of shape \(1, 2\); .*\(1,\)"):
        fly(ScriptedPolicy(lambda n: [1.0, 2.0]), target, OPTIONS, clock)
    assert target.stops == 1


def test_the_record_has_every_tick(tmp_path: Path) -> None:
    clock = SteppedClock(5.0)
    record = FlightRecord(SPEC)
    target = ScriptedTarget(clock, script=lambda n: None if n == 1 else OBSERVATION)
    fly(ScriptedPolicy(misses(range(1, 100))), target, OPTIONS, clock, record)
    record.write(tmp_path / "flight.npz")
    with np.load(tmp_path / "flight.npz") as file:
        assert file["states"].tolist() == list(STATES)
        assert file["time"].tolist() == [n * PERIOD for n in range(9)]
        assert [STATES[n] for n in file["state"]] == ["flying"] + ["holding"] * 3 + ["safe"] * 4 + ["stopped"]
        assert file["miss"].tolist() == ["", "no observation"] + ["no action"] * 7
        np.testing.assert_array_equal(file["action"][:, 0], [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, np.nan])
        np.testing.assert_array_equal(file["observation"][:3], [[1, 2], [np.nan, np.nan], [1, 2]])
        np.testing.assert_array_equal(file["stamp_age"][:3], [0.0, np.nan, 0.0])
        assert type(SPEC).from_json(str(file["policy_spec"])) == SPEC
    with pytest.raises(FileError, match="File exists; name another"):
        record.write(tmp_path / "flight.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0.0}, "seconds must be above 0"),
        ({"deadline": 1.5}, r"deadline must be .* given 1.5"),
        ({"max_age": np.nan}, "max_age must be above 0"),
    ],
)
def test_loop_options_that_mean_nothing(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoopOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("action", "message"), [((9.0,), "'a' is 9.0; allowed: "), ((0.0, 0.0), "has 2 entries")])
def test_safe_actions_that_are_none(action: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fly(ScriptedPolicy(lambda n: 1.0), ScriptedTarget(SteppedClock()), LoopOptions(safe_action=action))


def test_real_time_passes_and_no_slot_is_run_early() -> None:
    clock = MonotonicClock(spin_seconds=1e-3)
    begun = time.monotonic()
    target = ScriptedTarget(clock, 20)  # type: ignore[arg-type]
    fly(ScriptedPolicy(lambda n: 1.0), target, LoopOptions(watchdog=WatchdogOptions(5.0, 5.0)), clock)
    assert time.monotonic() - begun >= 20 * PERIOD  # on a busy machine slots are skipped, which takes longer still
    with pytest.raises(ValueError, match="spin_seconds"):
        MonotonicClock(-1.0)
