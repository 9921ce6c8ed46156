"""The watchdog is a function of which ticks were missed, and of nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.flight.watchdog import State, Watchdog, WatchdogOptions

FLYING, HOLDING, SAFE, STOPPED = State
OPTIONS = WatchdogOptions(hold_seconds=0.5, safe_seconds=1.0, recovery_ticks=3)
PERIOD = 0.25  # exact in binary


def states(ticks: str, options: WatchdogOptions = OPTIONS, period: float = PERIOD) -> list[State]:
    """States after ticks, o for a good one and x for a miss, one per period from instant 0."""
    watchdog = Watchdog(options)
    return [watchdog.good() if tick == "o" else watchdog.miss(k * period) for k, tick in enumerate(ticks)]


def test_misses_lead_through_every_state() -> None:
    # first miss at 0.25: held until 0.75, safe until 1.75
    expected = [FLYING, HOLDING, HOLDING, SAFE, SAFE, SAFE, SAFE, STOPPED, STOPPED]
    assert states("oxxxxxxxx") == expected


def test_recovery_takes_its_number_of_good_ticks_in_a_row() -> None:
    assert states("oxooo") == [FLYING, HOLDING, HOLDING, HOLDING, FLYING]
    assert states("oxxxooo") == [FLYING, HOLDING, HOLDING, SAFE, SAFE, SAFE, FLYING]
    # a miss in between starts the count anew; time runs from the first miss at 0.25, so that of tick 4 (1.0) is safe
    assert states("oxooxooo") == [FLYING, HOLDING, HOLDING, HOLDING, SAFE, SAFE, SAFE, FLYING]


def test_time_runs_from_the_first_miss_after_a_recovery() -> None:
    assert states("xoooxx")[-3:] == [FLYING, HOLDING, HOLDING]


def test_good_ticks_do_not_bring_a_state_about() -> None:
    # held since 0 with every third tick missed: at 0.75 the hold is over, and only that miss says so
    assert states("xooxoo") == [HOLDING, HOLDING, HOLDING, SAFE, SAFE, SAFE]


def test_nothing_leads_out_of_stopped() -> None:
    assert set(states("x" * 8 + "o" * 20)[7:]) == {STOPPED}


def test_a_long_sleep_uses_up_both_times() -> None:
    watchdog = Watchdog(OPTIONS)
    assert watchdog.miss(10.0) is HOLDING
    assert watchdog.miss(11.375) is SAFE  # 0.5 + 1.0 - 0.125
    watchdog = Watchdog(OPTIONS)
    watchdog.miss(10.0)
    assert watchdog.miss(11.5) is STOPPED


def test_times_of_zero_skip_a_state_and_infinity_never_leaves_it() -> None:
    assert states("x", WatchdogOptions(0.0, 1.0)) == [SAFE]
    assert states("x", WatchdogOptions(0.0, 0.0)) == [STOPPED]
    assert states("x" * 1000, WatchdogOptions(0.0, math.inf))[-1] is SAFE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hold_seconds": -0.1}, "hold_seconds must be at least 0; given -0.1"),
        ({"hold_seconds": math.inf}, "hold_seconds must be at least 0 and finite; given inf"),
        ({"safe_seconds": math.nan}, "safe_seconds must be at least 0; given nan"),
        ({"recovery_ticks": 0}, "recovery_ticks must be at least 1; given 0"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WatchdogOptions(**options)  # type: ignore[arg-type]


@given(st.text("ox", max_size=60), st.integers(0, 4), st.integers(0, 6), st.integers(1, 4))
def test_what_holds_for_any_sequence(ticks: str, hold: int, safe: int, recovery: int) -> None:
    options = WatchdogOptions(hold * PERIOD, safe * PERIOD, recovery)
    got = states(ticks, options)
    order = list(State)
    for k, (before, after) in enumerate(zip([FLYING, *got], got, strict=False)):
        if ticks[k] == "x":
            assert after is not FLYING
            assert order.index(after) >= order.index(before)  # misses never make it better
        elif after is not before:  # a good tick changes nothing but by recovery
            assert after is FLYING
            assert ticks[k + 1 - recovery : k + 1] == "o" * recovery
            assert before in (HOLDING, SAFE)
