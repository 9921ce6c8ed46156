"""How many steps are due, by a clock that the test moves."""

from __future__ import annotations

import math

import pytest

from hgrpo_control.watch.pace import MOST_BEHIND, Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def take(pace: Pace) -> int:
    steps = pace.due()
    for _ in range(steps):
        pace.count()
    return steps


def test_steps_are_due_in_real_time() -> None:
    clock = Clock()
    pace = Pace(100.0, clock)
    assert pace.due() == 0
    assert pace.wait == pytest.approx(0.01)
    total = 0
    for _ in range(110):
        clock.now += 1.0 / 60.0
        total += take(pace)
    assert total == pytest.approx(183, abs=1)
    assert pace.measured == pytest.approx(1.0, abs=0.05)
    assert not pace.too_slow


def test_slow_motion_takes_fewer_steps() -> None:
    clock = Clock()
    pace = Pace(100.0, clock)
    pace.speed = 0.25
    clock.now += 0.2
    assert take(pace) == 5


def test_no_step_is_due_in_a_pause() -> None:
    clock = Clock()
    pace = Pace(100.0, clock)
    pace.paused = True
    clock.now += 5.0
    assert pace.due() == 0
    assert pace.wait == math.inf
    pace.paused = False
    clock.now += 0.05
    assert pace.due() == 5


def test_slow_machine_gives_steps_up_and_is_reported() -> None:
    clock = Clock()
    pace = Pace(100.0, clock)
    for _ in range(5):
        clock.now += 1.0
        assert take(pace) == round(MOST_BEHIND * 100.0)
    assert pace.measured == pytest.approx(0.25)
    assert pace.too_slow
