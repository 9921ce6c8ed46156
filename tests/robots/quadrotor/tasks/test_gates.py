"""quadrotor-gates: where races begin, what passes, what is seen, paid and reported."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.gate_races import CENTRES, SIM, G, changed, fly, race, state, tensor

import robots
from robots.options import OptionError
from robots.quadrotor.body import rotation
from robots.quadrotor.tasks.gates import courses
from robots.quadrotor.tasks.gates.task import CRASHED, FLYING, MISSED

# --- starts -----------------------------------------------------------------------------------------------------------


def test_no_two_entries_of_a_fresh_state_share_memory() -> None:
    mission = SIM.reset(2, 0).mission
    assert len({entry.data_ptr() for entry in mission}) == len(mission)


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_races_begin_behind_a_gate_of_a_perturbed_course(difficulty: float) -> None:
    simulator = robots.make("quadrotor-gates", difficulty=difficulty, dtype=torch.float64)
    start = simulator.reset(3000, 0)
    mission, row = start.mission, torch.arange(3000)
    assert sorted(set(mission.first.tolist())) == list(range(G))
    offset = start.body.position - mission.centre[row, mission.first]
    along, left, up = ((offset * mission.axes[row, mission.first, i]).sum(dim=1) for i in range(3))
    assert -2.3 <= along.min() < -2.1
    assert -0.9 < along.max() <= -0.7
    assert max(left.abs().max(), up.abs().max()) <= 0.3
    centre, heading, climb = courses.course("loop", torch.float64, torch.device("cpu"))
    shift = (mission.centre - centre).norm(dim=2)
    assert 0.99 * 0.3 * difficulty <= shift.max() <= 0.3 * difficulty + 1e-12
    turn = torch.acos((mission.axes[:, :, 0] * courses.axes(heading, climb)[:, 0]).sum(dim=2).clamp(-1.0, 1.0))
    assert torch.rad2deg(turn).max().item() == pytest.approx(15.0 * difficulty, abs=0.1)
    assert mission.half.numpy() == pytest.approx(0.4 * (1.5 - 0.5 * difficulty))
    advance = (start.body.velocity * mission.axes[row, mission.first, 0]).sum(dim=1)
    assert -0.9 * difficulty <= advance.min()
    assert advance.max() <= 3.9 * difficulty + 1e-12
    up_z = rotation.rotation_rows(start.body.quaternion.t())[2, 2].clamp(-1.0, 1.0)
    assert torch.rad2deg(torch.acos(up_z)).max() <= 60.0 * difficulty + 1e-5


def test_a_race_can_begin_at_the_first_gate_alone() -> None:
    assert not robots.make("quadrotor-gates", start="first").reset(200, 0).mission.first.any()


# --- passing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "passed", "ending"),
    [
        ((-0.1, 0.0, 2.0), (0.1, 0.0, 2.0), 1, FLYING),
        ((-0.1, 0.34, 1.66), (0.1, 0.34, 1.66), 1, FLYING),
        ((-0.9, 0.3, 2.3), (0.9, 0.3, 2.3), 1, FLYING),  # at 180 m/s
        ((0.1, 0.0, 2.0), (-0.1, 0.0, 2.0), 0, FLYING),  # from before
        ((-0.1, 0.4, 2.0), (0.1, 0.4, 2.0), 0, CRASHED),
        ((0.1, 0.4, 2.0), (-0.1, 0.4, 2.0), 0, CRASHED),  # a frame is hard from both sides
        ((-0.1, 0.56, 2.0), (0.1, 0.56, 2.0), 0, MISSED),
        ((-0.1, 4.0, 2.0), (0.1, 4.0, 2.0), 0, MISSED),  # however far aside
        ((0.1, 0.56, 2.0), (-0.1, 0.56, 2.0), 0, FLYING),  # back past it
        ((1.9, 0.0, 2.0), (2.1, 0.0, 2.0), 0, FLYING),  # through the second gate, which is not the next
        ((1.9, 0.0, 2.5), (2.1, 0.0, 2.5), 0, CRASHED),  # into its frame
        ((-0.1, 0.0, 2.0), (2.1, 0.0, 2.0), 1, FLYING),  # through two gates at once: one per step
        ((-0.1, 0.0, 2.0), (2.1, 0.0, 2.5), 0, CRASHED),  # through the first into the second, at z = 2.48
    ],
)
def test_the_first_gate(start: object, end: object, passed: int, ending: int) -> None:
    outcome = fly(race(), start, end)
    assert outcome.mission.passed.item() == outcome.terms["passed"].item() == passed
    assert outcome.mission.ending.item() == ending
    assert outcome.terminated.item() == outcome.terms["failed"].item() == (ending != FLYING)


@pytest.mark.parametrize(
    ("start", "end", "off_centre"),
    [
        ((-0.1, 0.0, 2.0), (0.1, 0.0, 2.0), 0.0),
        # of 0.4 - 0.05 m: 0.2 m up and 0.1 m beside, of which the larger counts, is (4 / 7)^2 of the way
        ((-0.1, 0.1, 2.2), (0.1, 0.1, 2.2), 16.0 / 49.0),
        ((-0.1, 0.0, 1.6501), (0.1, 0.0, 1.6501), 0.99943),  # just inside: (0.3499 / 0.35)^2
        ((-0.1, 0.4, 2.0), (0.1, 0.4, 2.0), 0.0),  # a frame that was struck is paid by `failed` alone
        ((-0.3, 0.2, 2.2), (-0.1, 0.2, 2.2), 0.0),
    ],
)
def test_gates_are_to_be_passed_in_the_middle(start: object, end: object, off_centre: float) -> None:
    assert fly(race(), start, end).terms["off_centre"].item() == pytest.approx(off_centre, abs=1e-5)


def test_gates_count_in_their_order() -> None:
    """The fourth is passed along -x: from x = 4.1 to 3.9 at y = 2; along x that is nothing."""
    assert fly(race(passed=3), (4.1, 2.0, 2.0), (3.9, 2.0, 2.0)).mission.passed.item() == 4
    assert fly(race(passed=3), (3.9, 2.0, 2.0), (4.1, 2.0, 2.0)).mission.passed.item() == 3
    assert fly(race(passed=2), (4.1, 2.0, 2.0), (3.9, 2.0, 2.0)).mission.passed.item() == 2
    assert fly(race(passed=0, first=3), (4.1, 2.0, 2.0), (3.9, 2.0, 2.0)).mission.passed.item() == 1
    assert fly(race(passed=6), (-0.1, 0.0, 2.0), (0.1, 0.0, 2.0)).mission.passed.item() == 7  # and round again


@pytest.mark.parametrize(
    ("end", "grounded", "ending"),
    [
        ((-1.0, 0.0, 0.0), True, CRASHED),
        ((-5.01, 0.0, 2.0), False, CRASHED),
        ((-4.99, 0.0, 2.0), False, FLYING),
    ],
    ids=["on the floor", "5.01 m away", "4.99 m away"],
)
def test_floor_and_distance(end: object, grounded: bool, ending: int) -> None:
    assert fly(race(), end, end, grounded=grounded).mission.ending.item() == ending


def test_nothing_counts_after_the_end() -> None:
    crashed = fly(race(), (-0.1, 0.4, 2.0), (0.1, 0.4, 2.0)).mission
    after = fly(crashed, (-0.1, 0.0, 2.0), (0.1, 0.0, 2.0))
    assert (after.mission.passed.item(), after.mission.ending.item()) == (0, CRASHED)
    assert after.terminated.item()
    missed = fly(race(), (-0.1, 0.6, 2.0), (0.1, 0.6, 2.0)).mission
    assert fly(missed, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), grounded=True).mission.ending.item() == MISSED


@settings(max_examples=50)
@given(size=st.floats(0.2, 0.6), place=st.tuples(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0)), gate=st.integers(0, 5))
def test_a_straight_flight_passes_exactly_where_the_opening_is(
    size: float, place: tuple[float, float], gate: int
) -> None:
    """At most 1 m off, so clear of the gates that stand 2 m aside and reach 0.75 m."""
    y, z = place
    off_centre = max(abs(y), abs(z))
    if min(abs(off_centre - size + 0.05), abs(off_centre - size - 0.15)) < 1e-9:
        return
    sign = 1.0 if gate < 3 else -1.0
    middle = CENTRES[gate].tolist()
    ends = [(middle[0] + sign * x, middle[1] + y, middle[2] + z) for x in (-0.1, 0.1)]
    expected = FLYING if off_centre < size - 0.05 else CRASHED if off_centre < size + 0.15 else MISSED
    outcome = fly(race(passed=gate, half=size), *ends)
    assert outcome.mission.ending.item() == expected
    assert outcome.mission.passed.item() == gate + (expected == FLYING)


# --- laps -------------------------------------------------------------------------------------------------------------


def test_a_lap_is_timed_from_the_first_gate_to_the_first_gate() -> None:
    """First gate a quarter of the way through step 11, at 0.1025 s; round again half way through step 411, at 4.105 s:
    4.0025 s. A second lap of 300 whole steps makes the mean (4.0025 + 3) / 2."""
    mission = fly(race(), (-0.1, 0.0, 2.0), (0.3, 0.0, 2.0), steps=11).mission
    assert mission.began.item() == pytest.approx(0.1025)
    for gate, sign in ((1, 1), (2, 1), (3, -1), (4, -1), (5, -1)):
        x, y, z = CENTRES[gate].tolist()
        mission = fly(mission, (x - 0.1 * sign, y, z), (x + 0.1 * sign, y, z), steps=50 * (gate + 1)).mission
        assert not SIM.success(state(mission)).item()
        assert math.isnan(SIM.metrics(state(mission))["lap time [s]"].item())
    mission = fly(mission, (-0.1, 0.0, 2.0), (0.1, 0.0, 2.0), steps=411).mission
    assert mission.passed.item() == 7
    assert SIM.success(state(mission)).item()
    assert SIM.metrics(state(mission))["lap time [s]"].item() == pytest.approx(4.0025)
    again = fly(changed(mission, passed=mission.passed + 5), (-0.1, 0.0, 2.0), (0.1, 0.0, 2.0), steps=711).mission
    assert SIM.metrics(state(again))["lap time [s]"].item() == pytest.approx(7.0025 / 2)
    assert SIM.metrics(state(again))["laps [1]"].item() == 2.0


def test_a_crash_after_the_lap_is_no_success() -> None:
    """One clean lap of two begun, at 7 gates in 10 s: 42 a minute."""
    crashed = fly(race(passed=7), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), grounded=True).mission
    crashed = changed(crashed, began=tensor([1.0]), lapped=tensor([8.0]))
    assert not SIM.success(state(crashed)).item()
    figures = {k: v.item() for k, v in SIM.metrics(state(crashed, steps=1000)).items()}
    assert figures == pytest.approx(
        {
            "lap time [s]": 7.0,
            "clean laps [1]": 0.5,
            "laps [1]": 1.0,
            "gates per minute [1/min]": 42.0,
            "crash rate [1]": 1.0,
            "miss rate [1]": 0.0,
        }
    )


def test_a_lap_cut_short_by_the_clock_is_not_judged() -> None:
    assert math.isnan(SIM.metrics(state(race(passed=4)))["clean laps [1]"].item())
    assert SIM.metrics(state(race(passed=9)))["clean laps [1]"].item() == 1.0
    missed = fly(race(passed=1), (1.9, 1.0, 2.0), (2.1, 1.0, 2.0)).mission
    figures = SIM.metrics(state(missed))
    assert (figures["clean laps [1]"].item(), figures["miss rate [1]"].item()) == (0.0, 1.0)


def test_more_laps_take_more_time_and_more_to_succeed() -> None:
    two = robots.make("quadrotor-gates", laps=2, dtype=torch.float64)
    assert (SIM.spec.max_episode_steps, two.spec.max_episode_steps) == (1200, 2200)
    assert SIM.spec.goal.startswith("a whole lap is flown")
    assert two.spec.goal.startswith("2 whole laps are flown")
    assert [two.success(state(race(passed=n))).item() for n in (7, 12, 13)] == [False, False, True]
    assert [SIM.success(state(race(passed=n))).item() for n in (1, 6, 7)] == [False, False, True]


# --- options, pictures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"course": "lop"}, "unknown course 'lop'; did you mean 'loop'?"),
        ({"start": "frist"}, "unknown start 'frist'; did you mean 'first'?"),
        ({"laps": 0}, "laps must be at least 1; given 0"),
        ({"gate_size": 0.1}, "gate_size must be from 0.3 to 1.2 m; given 0.1"),
        ({"shift": -0.1}, "shift must be from 0 to 0.5 m; given -0.1"),
        ({"turn": 31}, "turn must be from 0 to 30 deg; given 31.0"),
    ],
)
def test_options_that_mean_nothing_are_refused(option: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        robots.make("quadrotor-gates", **option)


def test_a_picture_colours_the_passed_the_next_and_the_one_after() -> None:
    """Six shapes a gate, four bars and two legs; the third is next."""
    shapes = SIM.mission.drawing(state(race(passed=2)), 0).shapes
    assert len(shapes) == 6 * G
    colours = [shapes[6 * i].rgba[:3] for i in range(G)]
    assert colours[2] not in colours[:2] + colours[3:]
    assert colours[0] == colours[4] == colours[5]
    assert len({colours[0], colours[1], colours[2], colours[3]}) == 4


def test_the_bars_of_a_frame_leave_the_opening_free_and_reach_the_outer_edge() -> None:
    """Of a gate at (0, 0, 2), passed along x with half = 0.4: bars between 0.4 and 0.5 from the middle."""
    frame = SIM.mission.drawing(state(race()), 0).shapes[:6]
    boxes = []
    for shape in frame:
        reach = np.abs(shape.rotation) @ np.array(shape.size)
        boxes.append((np.asarray(shape.position) - reach, np.asarray(shape.position) + reach))
    bars = [(low, high) for low, high in boxes if high[2] > 1.51]
    assert len(bars) == 4
    for low, high in bars:
        assert max(low[1], -high[1], low[2] - 2.0, 2.0 - high[2]) == pytest.approx(0.4)
    assert max(high[1] for _, high in bars) == pytest.approx(0.5)
    assert max(high[2] for _, high in bars) == pytest.approx(2.5)
    assert min(low[2] for low, _ in boxes) == pytest.approx(0.0, abs=1e-9)
