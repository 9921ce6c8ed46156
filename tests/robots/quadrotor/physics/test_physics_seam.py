"""Where another engine takes the place of the built-in dynamics: what it is asked, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.built_in_physics import BuiltInPhysics
from support.states import follow, random_actions, same

import robots
from robots.catalogue import QUADROTOR_TASKS
from robots.options import OptionError
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.physics.catalogue import BUILT_IN, FOREIGN

TASKS = [name for name in QUADROTOR_TASKS if not name.endswith(("-randomized", "-gusty"))]


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FOREIGN, "planted", BuiltInPhysics)
    monkeypatch.setitem(FOREIGN, "high-floor", lambda parameters, duration: BuiltInPhysics(parameters, duration, 10.0))


def made(task: str, **options: object) -> QuadrotorFlight:
    simulator = robots.make(task, **options)
    assert isinstance(simulator, QuadrotorFlight)
    return simulator


@pytest.mark.parametrize(
    ("task", "interface"),
    [*((task, "motors") for task in TASKS), *(("quadrotor-hover", x) for x in ("ctbr", "velocity"))],
)
def test_the_same_equations_behind_the_seam_give_the_same_bits(task: str, interface: str) -> None:
    calm = {"quadrotor": "x500", "wind": 0.0, "gust": 0.0, "battery_sag": 0.0} if "any" in task else {}
    home, there = (made(task, interface=interface, **calm, **physics) for physics in ({}, {"physics": "planted"}))
    assert home.spec.differentiable
    assert replace(home.spec, differentiable=False) == there.spec
    start = home.reset(6, 4)
    assert same(start, there.reset(6, 4))
    actions = random_actions(home, 12)
    assert all(same(a, b) for a, b in zip(follow(home, start, actions), follow(there, start, actions), strict=True))


def test_sensors_and_delays_stay_the_task_s() -> None:
    late = {"position_noise": 0.02, "rate_bias": 0.1, "observation_latency": 1, "action_latency": 2}
    home, there = made("quadrotor-hover", **late), made("quadrotor-hover", physics="planted", **late)
    start, actions = home.reset(6, 4), random_actions(home, 8)
    assert all(same(a, b) for a, b in zip(follow(home, start, actions), follow(there, start, actions), strict=True))


@pytest.mark.parametrize("interface", ["motors", "ctbr"])
def test_the_engine_says_what_touches_the_floor(interface: str) -> None:
    simulator = made("quadrotor-hover", interface=interface, physics="high-floor")
    state = simulator.reset(5, 0)
    assert bool(simulator.step(state, state.last_action).terminated.all())


@pytest.mark.parametrize(
    ("task", "options", "given"),
    [
        ("quadrotor-hover-randomized", {}, "mass=0.3, rotor_thrust=0.09, inertia=0.3, rotor_lag=0.3, wind=1"),
        ("quadrotor-waypoints", {"gust": 2.5}, "gust=2.5"),
    ],
)
def test_another_engine_is_not_randomised(task: str, options: dict[str, float], given: str) -> None:
    with pytest.raises(OptionError) as caught:
        robots.make(task, physics="planted", **options)
    assert str(caught.value) == f"physics=planted cannot be randomised, only built-in can; given {given}"


def test_an_unknown_engine_is_told_with_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"^unknown physics 'plantet'; did you mean 'planted'"):
        robots.make("quadrotor-hover", physics="plantet")


def test_closing_a_flight_closes_its_engine() -> None:
    simulator = made("quadrotor-hover", physics="planted")
    simulator.close()
    assert simulator.physics is not None
    assert vars(simulator.physics)["closed"]
    built_in = made("quadrotor-hover", physics=BUILT_IN)
    built_in.close()  # there is nothing to end
    assert built_in.physics is None
