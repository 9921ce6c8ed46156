"""quadrotor-waypoints: where the points lie, when they count, what is seen, paid and reported."""

from __future__ import annotations

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.segment_kernels import nearest_squared
from support.waypoint_flights import COURSE, SIM, changed, flown, state, task, tensor, vector

import robots
from robots.options import OptionError
from robots.quadrotor.body import rotation
from robots.quadrotor.tasks import waypoints
from robots.quadrotor.tasks.waypoints import next_point

# --- courses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("difficulty", "longest"), [(0.0, 0.5), (0.5, 1.25), (1.0, 2.0)])
def test_legs_have_the_stated_lengths_and_points_lie_in_the_arena(difficulty: float, longest: float) -> None:
    simulator = robots.make("quadrotor-waypoints", difficulty=difficulty, points=8)
    start = simulator.reset(2000, 0)
    places = torch.cat((start.body.position.unsqueeze(1), start.mission.points), dim=1)
    legs = (places[:, 1:] - places[:, :-1]).norm(dim=2)
    assert legs.min() >= 0.5 - 1e-5
    assert legs.max() <= longest + 1e-5
    assert legs.mean().item() == pytest.approx(0.5 * (0.5 + longest), abs=0.02)
    low, high = tensor(waypoints.ARENA_LOW), tensor(waypoints.ARENA_HIGH)
    assert ((places >= low - 1e-5) & (places <= high + 1e-5)).all()
    up = rotation.rotation_rows(start.body.quaternion.t())[2, 2]
    assert torch.rad2deg(torch.acos(up.clamp(-1.0, 1.0))).max() <= 90.0 * difficulty + 0.1
    for values in (start.body.velocity, start.body.angular_velocity):
        assert values.abs().max() <= difficulty


def test_a_leg_that_would_leave_is_turned_round_by_hand() -> None:
    """From x = 2.5 a step of 1 to the right would end at 3.5, beyond 3: it goes to 1.5; y and z stay in and are kept.
    Downward from 1.0 by 0.75 would end at 0.25, below 0.5: it goes up to 1.75."""
    place = tensor([[2.5, 0.0, 1.0], [2.5, 0.0, 1.0], [0.0, 0.0, 1.0]])
    leg = tensor([[1.0, 0.5, 0.25], [-1.0, 0.5, 0.25], [0.0, 0.5, -0.75]])
    expected = tensor([[1.5, 0.5, 1.25], [1.5, 0.5, 1.25], [0.0, 0.5, 1.75]])
    assert torch.equal(next_point(place, leg), expected)


@given(share=st.tuples(*[st.floats(0.0, 1.0)] * 3), leg=st.tuples(*[st.floats(-2.0, 2.0)] * 3))
def test_no_leg_of_at_most_half_the_arena_leaves_it(
    share: tuple[float, float, float], leg: tuple[float, float, float]
) -> None:
    low, high = tensor(waypoints.ARENA_LOW), tensor(waypoints.ARENA_HIGH)
    place, way = (low + (high - low) * tensor(share))[None], tensor(leg)[None]
    there = next_point(place, way)
    assert ((there >= low - 1e-12) & (there <= high + 1e-12)).all()
    assert (there - place).abs().numpy() == pytest.approx(way.abs().numpy(), abs=1e-12)


# --- reaching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "squared"),
    [
        ((3.0, 4.0, 0.0), (3.0, 4.0, 0.0), 25.0),  # no way at all
        ((-1.0, 2.0, 0.0), (1.0, 2.0, 0.0), 4.0),  # past the middle
        ((1.0, 2.0, 0.0), (3.0, 2.0, 0.0), 5.0),  # nearest where it begins
        ((3.0, 2.0, 2.0), (2.0, 2.0, 1.0), 9.0),  # nearest where it ends
        ((2.0, 0.0, 0.0), (0.0, 2.0, 0.0), 2.0),  # slanted: the middle (1, 1, 0)
    ],
)
def test_the_nearest_place_of_a_segment_by_hand(start: object, end: object, squared: float) -> None:
    assert nearest_squared(tensor([start]), tensor([end])).item() == pytest.approx(squared)


@given(start=vector, end=vector)
def test_no_place_of_a_segment_is_nearer(start: object, end: object) -> None:
    a, b = tensor([start]), tensor([end])
    on_the_way = a + torch.linspace(0.0, 1.0, 101, dtype=torch.float64)[:, None] * (b - a)
    least = rotation.squared_norm(on_the_way.t()).min().item()
    nearest = nearest_squared(a, b).item()
    assert nearest <= least + 1e-9
    assert nearest >= max(0.0, math.sqrt(least) - 0.03 * (b - a).norm().item()) ** 2 - 1e-9


@pytest.mark.parametrize(
    ("start", "end", "reached"),
    [
        ((0.7, 0.0, 2.0), (0.81, 0.0, 2.0), True),  # 0.19 m off
        ((0.7, 0.0, 2.0), (0.79, 0.0, 2.0), False),  # 0.21 m off
        ((0.0, 0.0, 2.0), (2.0, 0.0, 2.0), True),  # through it within one step, at 200 m/s
        ((0.0, 0.19, 2.0), (2.0, 0.19, 2.0), True),
        ((0.0, 0.21, 2.0), (2.0, 0.21, 2.0), False),
    ],
)
def test_a_point_is_reached_by_the_way_flown(start: object, end: object, reached: bool) -> None:
    outcome = SIM.mission.advance(flown(start, end), task(1))
    assert outcome.mission.reached.item() == outcome.terms["reached"].item() == reached
    assert not outcome.terminated.item()


def test_points_count_in_order_and_one_per_step() -> None:
    """The second point counts only once the first has been reached, also where one way passes both."""
    second = SIM.mission.advance(flown((1.0, 1.1, 2.0), (1.0, 0.9, 2.0)), task(1))
    assert second.mission.reached.item() == 0
    both = flown((1.0, 1.2, 2.0), (1.0, -0.2, 2.0))
    once = SIM.mission.advance(both, task(1))
    twice = SIM.mission.advance(both, once.mission)
    assert (once.mission.reached.item(), twice.mission.reached.item()) == (1, 2)


def test_the_last_point_ends_the_episode_in_success() -> None:
    outcome = SIM.mission.advance(flown((0.0, 0.0, 1.3), (0.0, 0.0, 1.1)), task(1, reached=4))
    assert outcome.mission.reached.item() == 5
    assert outcome.terminated.item()
    assert SIM.success(state(outcome.mission, (0.0, 0.0, 1.1))).item()
    again = SIM.mission.advance(flown((0.0, 0.0, 1.1), (0.0, 0.0, 1.0)), outcome.mission)
    assert again.mission.reached.item() == 5  # there is no sixth
    assert again.terminated.item()


@pytest.mark.parametrize(
    ("end", "grounded"),
    [((1.0, 0.0, 2.0), True), ((-3.01, 0.0, 2.0), False), ((1.0, 0.0, 6.01), False)],
    ids=["on the floor", "4.01 m aside", "4.01 m above"],
)
def test_a_crash_ends_the_episode_and_reaches_nothing(end: object, grounded: bool) -> None:
    outcome = SIM.mission.advance(flown(end, end, grounded), task(1))
    assert outcome.terminated.item()
    assert outcome.mission.crashed.item()
    assert (outcome.terms["crashed"].item(), outcome.terms["reached"].item()) == (1.0, 0.0)
    last = SIM.mission.advance(flown((0.0, 0.0, 1.0), (0.0, 0.0, 1.0), True), task(1, reached=4))
    assert last.terminated.item()
    assert not SIM.success(state(last.mission, (0.0, 0.0, 0.0))).item()


def test_four_metres_away_is_not_yet_lost() -> None:
    outcome = SIM.mission.advance(flown((-2.9, 0.0, 2.0), (-2.99, 0.0, 2.0)), task(1))
    assert not outcome.terminated.item()


# --- figures, options, pictures ---------------------------------------------------------------------------------------


def test_metrics_by_hand() -> None:
    """Three points in 200 steps, 2 s: 90 a minute, and no time to the last; all five in 4 s: 75 a minute."""
    part = SIM.metrics(state(task(1, reached=3), (0.0, 0.0, 2.0), steps=200))
    whole = SIM.metrics(state(task(1, reached=5), (0.0, 0.0, 2.0), steps=400))
    assert {k: v.item() for k, v in part.items()} == pytest.approx(
        {
            "points per minute [1/min]": 90,
            "points reached [1]": 3,
            "crash rate [1]": 0,
            "time to the last point [s]": math.nan,
        },
        nan_ok=True,
    )
    assert (whole["points per minute [1/min]"].item(), whole["time to the last point [s]"].item()) == (75.0, 4.0)
    crashed = changed(task(1, reached=2), crashed=torch.tensor([True]))
    assert SIM.metrics(state(crashed, (0.0, 0.0, 0.0)))["crash rate [1]"].item() == 1.0


def test_more_points_take_more_time() -> None:
    assert SIM.spec.max_episode_steps == 1000
    assert robots.make("quadrotor-waypoints", points=2).spec.max_episode_steps == 400


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"points": 0}, "points must be at least 1; given 0"),
        ({"radius": 0.5}, "radius must be above 0 m and below 0.5 m; given 0.5"),
        ({"radius": 0.0}, "radius must be above 0"),
        ({"point": 3}, "unknown task option 'point'; did you mean 'points'"),
    ],
)
def test_options_that_mean_nothing_are_refused(option: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        robots.make("quadrotor-waypoints", **option)


def test_a_picture_marks_what_is_reached_current_and_to_come() -> None:
    drawing = SIM.mission.drawing(state(task(1, reached=2), (0.0, 0.0, 2.0)), 0)
    balls = [shape for shape in drawing.shapes if shape.kind == "sphere"]
    assert [tuple(ball.position) for ball in balls] == [tuple(point) for point in COURSE]
    colours = [ball.rgba[:3] for ball in balls]
    assert colours[0] == colours[1]
    assert len(set(colours[1:])) == 4
    assert max(balls, key=lambda ball: ball.rgba[3]) is balls[2]
    assert all(ball.size == (0.2,) for ball in balls)
