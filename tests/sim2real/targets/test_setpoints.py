"""Goals, thrusts and velocities as an autopilot takes them, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

import robots
from hgrpo_control.config import Network
from hgrpo_control.simulation import policy_spec
from policies.spec import PolicySpec
from sim2real.quadrotor_observation import Motion
from sim2real.target import TargetError
from sim2real.targets.setpoints import GoalFrom, Setpoints

POSITION = np.array([1.0, 2.0, 3.0])
LEVEL = np.array([1.0, 0.0, 0.0, 0.0])


def spec_of(interface: str) -> PolicySpec:
    return policy_spec(robots.make("quadrotor-hover", interface=interface).spec, Network(), critic=False)


def setpoints(interface: str = "velocity", goal_from: GoalFrom = "takeoff", hover_thrust: float = 0.4) -> Setpoints:
    return Setpoints(spec_of(interface), (0.5, 0.0, 1.0), goal_from, 0.2, hover_thrust, "anywhere")


def at(position: np.ndarray, quaternion: np.ndarray) -> Motion:
    return Motion(position, np.zeros(3), quaternion, np.zeros(3))


@pytest.mark.parametrize(("goal_from", "goal"), [("takeoff", (1.5, 2.0, 4.0)), ("origin", (0.5, 0.0, 1.0))])
def test_the_goal_counts_from_where_it_was_said(goal_from: GoalFrom, goal: tuple[float, ...]) -> None:
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


def test_hover_thrust_is_what_one_g_takes() -> None:
    assert setpoints("ctbr").thrust(np.array([1.5, 0.0, 0.0, 0.0])) == pytest.approx(0.6)


def test_what_no_autopilot_takes_is_refused() -> None:
    with pytest.raises(TargetError, match="actions of type 'motors' cannot be sent anywhere"):
        setpoints("motors")
    for wrong in (0.0, 1.0, float("nan")):
        with pytest.raises(TargetError, match="hover_thrust is a share of full thrust between 0 and 1; given"):
            setpoints("ctbr", hover_thrust=wrong)
