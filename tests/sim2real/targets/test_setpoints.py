"""Goals, thrusts and velocities as an autopilot takes them, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.spec import PolicySpec
from sim2real.flight.target import TargetError
from sim2real.targets.goals import GoalOptions
from sim2real.targets.observation import Motion
from sim2real.targets.setpoints import Setpoints, motion_problem

POSITION = np.array([1.0, 2.0, 3.0])
LEVEL = np.array([1.0, 0.0, 0.0, 0.0])


def spec_of(interface: str) -> PolicySpec:
    return policy_spec(robots.make("quadrotor-hover", interface=interface).spec, Network(), critic=False)


def setpoints(interface: str = "velocity", hover_thrust: float = 0.4, **goals: Any) -> Setpoints:
    return Setpoints(spec_of(interface), GoalOptions((0.5, 0.0, 1.0), **goals), hover_thrust, "anywhere")


def at(position: np.ndarray, quaternion: np.ndarray) -> Motion:
    return Motion(position, np.zeros(3), quaternion, np.zeros(3))


@pytest.mark.parametrize(("goal_from", "goal"), [("takeoff", (1.5, 2.0, 4.0)), ("origin", (0.5, 0.0, 1.0))])
def test_the_goal_counts_from_where_it_was_said(goal_from: str, goal: tuple[float, ...]) -> None:
    flying = setpoints(goal_from=goal_from)
    flying.take_off_from(POSITION)
    reading = flying.reading(at(POSITION, LEVEL), 7.0)
    assert reading.stamp == 7.0
    np.testing.assert_allclose(reading.observation[:3], goal - POSITION, atol=1e-6)


def test_velocities_are_turned_by_the_last_attitude_that_was_finite() -> None:
    flying = setpoints()
    forward = np.array([2.0, 0.0, -1.0, 0.3])
    np.testing.assert_allclose(flying.velocity(forward), (2.0, 0.0, -1.0), atol=1e-12)  # nothing was heard yet
    half = math.radians(90.0) / 2.0  # nose to the left, which is y
    flying.reading(at(POSITION, np.array([math.cos(half), 0.0, 0.0, math.sin(half)])), 0.0)
    np.testing.assert_allclose(flying.velocity(forward), (0.0, 2.0, -1.0), atol=1e-12)
    flying.reading(at(POSITION, np.full(4, np.nan)), 0.1)
    np.testing.assert_allclose(flying.velocity(forward), (0.0, 2.0, -1.0), atol=1e-12)


def test_a_number_that_is_not_finite_spoils_the_whole_observation_and_no_later_one() -> None:
    flying = setpoints()
    flying.take_off_from(POSITION)
    before = flying.reading(at(POSITION, LEVEL), 0.0).observation
    spoilt = Motion(np.array([1.0, np.nan, 3.0]), np.zeros(3), LEVEL, np.zeros(3))
    assert np.isnan(flying.reading(spoilt, 0.1).observation).all()
    np.testing.assert_array_equal(flying.reading(at(POSITION, LEVEL), 0.2).observation, before)


def test_motion_that_no_vehicle_takes_off_by() -> None:
    level = at(POSITION, LEVEL)
    assert motion_problem((level, 7.0), 7.1 - 1e-9, 0.1) == ""
    assert motion_problem(None, 0.0, 0.1) == "no estimate of its motion has arrived"
    assert motion_problem((level, 7.0), 7.25, 0.1) == "its motion is 0.25 s old; allowed: max_age, 0.1 s"
    for motion, problem in (
        (level._replace(velocity=np.array([0.0, np.inf, 0.0])), "its velocity is"),
        (level._replace(angular_velocity=np.full(3, np.nan)), "its angular velocity is"),
        (at(POSITION, np.zeros(4)), "its attitude is"),
    ):
        assert motion_problem((motion, 7.0), 7.0, 0.1).startswith(problem)


def test_hover_thrust_is_what_one_g_takes() -> None:
    assert setpoints("ctbr").thrust(np.array([1.5, 0.0, 0.0, 0.0])) == pytest.approx(0.6)


def test_what_no_autopilot_takes_is_refused() -> None:
    with pytest.raises(TargetError, match="actions of type 'motors' cannot be sent anywhere"):
        setpoints("motors")
    for wrong in (0.0, 1.0, float("nan")):
        with pytest.raises(TargetError, match="hover_thrust"):
            setpoints("ctbr", hover_thrust=wrong)
