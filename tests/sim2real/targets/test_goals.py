"""Goal points are reached in order, along the path between two positions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim2real.targets.goals import GoalOptions, Goals

TWO_POINTS = (1.0, 0.0, 0.0, 5.0, 0.0, 0.0)


def test_a_point_is_reached_between_two_positions() -> None:
    goals = Goals(GoalOptions(TWO_POINTS))
    goals.update(np.array([0.0, 0.1, 0.0]))
    assert goals.current[0] == 1.0
    goals.update(np.array([2.0, 0.1, 0.0]))  # within 0.1 m of it on the way
    assert (goals.current[0], goals.next[0]) == (5.0, 5.0)
    goals.update(np.array([5.0, 0.0, 0.0]))
    assert goals.current[0] == 5.0  # the last one stays


def test_a_point_that_was_passed_too_far_away_stays() -> None:
    goals = Goals(GoalOptions(TWO_POINTS))
    for x in (0.0, 2.0):
        goals.update(np.array([x, 0.21, 0.0]))
    assert goals.current[0] == 1.0


def test_a_position_that_is_not_finite_leaves_the_path_whole() -> None:
    goals = Goals(GoalOptions(TWO_POINTS, goal_radius=0.1))
    for x in (0.0, math.nan, 1.5):
        goals.update(np.array([x, 0.0, 0.0]))
    np.testing.assert_array_equal(goals.current, [5.0, 0.0, 0.0])


@pytest.mark.parametrize(("goal_from", "x"), [("takeoff", 8.0), ("origin", 1.0)])
def test_goals_count_from_the_takeoff_or_the_origin(goal_from: str, x: float) -> None:
    goals = Goals(GoalOptions(TWO_POINTS, goal_from))  # type: ignore[arg-type]
    goals.take_off_from(np.array([7.0, 0.0, 0.0]))
    assert goals.current[0] == x


@pytest.mark.parametrize("goal", [(), (1.0, 2.0), (1.0, 2.0, math.nan), (1.0, 2.0, 3.0, 4.0)])
def test_numbers_that_are_no_points_are_refused(goal: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="goal takes three finite numbers x y z"):
        GoalOptions(goal)


def test_a_radius_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"goal_radius .* given 0\.0"):
        GoalOptions(goal_radius=0.0)


def test_a_radius_around_the_only_goal_is_refused() -> None:
    with pytest.raises(ValueError, match=r"goal_radius 0\.5 does nothing with one goal"):
        GoalOptions((1.0, 2.0, 3.0), goal_radius=0.5)
    assert GoalOptions((1.0, 2.0, 3.0, 4.0, 5.0, 6.0), goal_radius=0.5).goal_radius == 0.5
