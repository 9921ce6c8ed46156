"""Flights side by side, without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgrpo_control.evaluation.evaluate import PolicyMismatchError
from hgrpo_control.watch.pilots import Pilot, TrainingPilot
from hgrpo_control.watch.session import LINGER_SECONDS, Entry, Session
from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from policies.carried import Carried
from policies.checkpoint import save
from policies.spec import Channel, PolicySpec
from robots.interventions import Disturbance
from robots.quadrotor.flight.options import FlightOptions

HOVER = "quadrotor-hover"


def neutral(task: str = HOVER, number: int = 1, **options: Any) -> Session:
    return Session(task, [Entry(Pilot(f"neutral {i}")) for i in range(number)], options)


def policy_for(session: Session, memory: str = "none") -> ActorCritic:
    """A policy without training for the task of a session."""
    spec = session.flights[0].simulator.spec
    entries = [tuple(Channel(q.name, q.unit, q.frame) for q in each) for each in (spec.observation, spec.action)]
    return ActorCritic(
        PolicySpec(
            task=spec.name,
            robot=spec.robot,
            control_hz=spec.control_hz,
            observation=entries[0],
            action=entries[1],
            action_low=spec.action_low,
            action_high=spec.action_high,
            safe_action=spec.neutral_action,
            hidden_sizes=(8,),
            memory=memory,
            memory_size=4 if memory != "none" else 0,
        ),
        generator=torch.Generator().manual_seed(1),
    )


def fly(session: Session, seconds: float) -> None:
    for _ in range(round(seconds * session.control_hz)):
        session.step()


def velocity(session: Session, flight: int = 0) -> np.ndarray:
    return session.flights[flight].state.body.velocity[0].numpy().copy()


def test_step_advances_every_flight_from_the_same_start() -> None:
    session = neutral(number=2)
    first, second = session.flights
    assert np.array_equal(first.position, second.position)
    before = first.position
    fly(session, 0.2)
    assert session.steps == 20
    assert session.episode_time == pytest.approx(0.2)
    assert np.linalg.norm(first.position - before) > 0.01
    assert np.array_equal(first.position, second.position)
    assert len(first.trail) == 21
    assert [sample.time for sample in first.history] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert "tilt [deg]" in first.history[0].signals


def test_policies_fly_side_by_side() -> None:
    plain = neutral()
    session = Session(HOVER, [Entry(Pilot("a policy", Carried(policy_for(plain)))), Entry(Pilot("neutral"))])
    fly(session, 0.3)
    assert not np.allclose(session.flights[0].position, session.flights[1].position, atol=1e-3)


def test_options_of_each_training_are_kept_and_replaced_by_given_ones() -> None:
    entries = [Entry(Pilot("a"), {"heading": "10"}), Entry(Pilot("b"), {"heading": "20", "difficulty": "0.5"})]
    session = Session(HOVER, entries, {"heading": "30"})
    options = [flight.simulator.options for flight in session.flights]  # type: ignore[attr-defined]
    assert [(each.heading, each.difficulty) for each in options] == [(30.0, 1.0), (30.0, 0.5)]


def test_ended_episode_is_shown_and_the_next_start_follows() -> None:
    session = neutral("quadrotor-hover", 2)
    seed = session.seed
    while not all(flight.outcome for flight in session.flights):
        session.step()
    assert session.flights[0].outcome in ("crashed", "time limit")
    ended = session.flights[0].position
    fly(session, LINGER_SECONDS)
    assert np.array_equal(session.flights[0].position, ended)
    session.step()
    assert session.seed == seed + 1
    assert not any(flight.outcome for flight in session.flights)
    session.restart(seed)
    assert session.seed == seed


def test_time_limit_can_be_left_out() -> None:
    session = neutral("Reacher-v5")
    session.endless = True
    limit = session.flights[0].simulator.spec.max_episode_steps
    for _ in range(limit + 5):
        session.step()
    assert not session.flights[0].outcome
    session.endless = False
    session.step()
    assert session.flights[0].outcome in ("success", "time limit")


def test_push_changes_the_velocity_of_every_robot() -> None:
    session = neutral(number=2)
    before = velocity(session)
    session.push((1.0, -2.0, 0.5))
    for flight in range(2):
        np.testing.assert_allclose(velocity(session, flight) - before, (1.0, -2.0, 0.5), atol=1e-6)


def test_push_of_a_mujoco_robot_moves_it() -> None:
    still, pushed = neutral("Walker2d-v5"), neutral("Walker2d-v5")
    pushed.push((2.0, 0.0, 0.0))
    for session in (still, pushed):
        fly(session, 0.2)
    assert pushed.flights[0].position[0] - still.flights[0].position[0] > 0.1
    assert not pushed.can_disturb
    with pytest.raises(HgrpoError, match=r"Walker2d-v5.*disturbed"):
        pushed.set_mass(1.2)


def test_wind_mass_and_rotor_act_and_stay_over_restarts() -> None:
    still = neutral(difficulty=0.0)
    fly(still, 0.5)
    windy = neutral(difficulty=0.0)
    windy.set_wind((2.0, 0.0, 0.0))
    windy.restart(windy.seed)
    fly(windy, 0.5)
    drift = windy.flights[0].position - still.flights[0].position
    np.testing.assert_allclose(drift, (0.5 * 2.0 * 0.5**2, 0.0, 0.0), atol=0.03)
    heavy = neutral(difficulty=0.0)
    heavy.set_mass(1.5)
    fly(heavy, 0.5)
    assert heavy.flights[0].position[2] < still.flights[0].position[2] - 0.2
    weak = neutral(difficulty=0.0)
    weak.set_rotor(1, 0.7)
    weak.set_rotor(2, 0.9)
    assert weak.flights[0].state.hidden.rotor_thrust[0].tolist() == pytest.approx([0.7, 0.9, 1.0, 1.0])
    with pytest.raises(HgrpoError, match="5"):
        weak.set_rotor(5, 0.7)


def test_calm_takes_disturbances_back() -> None:
    session, still = neutral(), neutral()
    session.set_wind((2.0, 0.0, 0.0))
    session.set_mass(1.3)
    session.calm()
    assert session.disturbance == Disturbance()
    for each in (session, still):
        each.step()
    np.testing.assert_allclose(velocity(session), velocity(still), atol=1e-5)


def test_other_physics_cannot_be_disturbed() -> None:
    session = neutral(physics="mujoco")
    assert session.can_push
    assert not session.can_disturb
    session.close()


@pytest.mark.parametrize("task", [HOVER, "quadrotor-waypoints", "quadrotor-pursuit"])
def test_target_goes_where_it_is_put_and_the_robot_stays(task: str) -> None:
    session = neutral(task, 2)
    fly(session, 0.1)
    assert session.target is not None
    place, here = session.target + np.array((0.4, -0.3, 0.2)), session.flights[1].position
    session.move_target(place.tolist())
    np.testing.assert_allclose(session.target, place, atol=1e-5)
    np.testing.assert_allclose(session.flights[1].position, here, atol=1e-5)
    session.restart()
    assert np.linalg.norm(session.flights[0].frame) == 0.0


def test_gates_have_no_target_to_move() -> None:
    session = neutral("quadrotor-gates")
    assert session.target is None
    with pytest.raises(HgrpoError, match=r"quadrotor-gates.*target"):
        session.move_target((0.0, 0.0, 1.0))


def test_changed_options_build_the_task_again() -> None:
    session = neutral("quadrotor-gates")
    session.set_mass(1.2)
    session.change_task({"course": "eight", "laps": "2"})
    options = session.flights[0].simulator.options  # type: ignore[attr-defined]
    assert isinstance(options, FlightOptions)
    assert (options.course, options.laps) == ("eight", 2)  # type: ignore[attr-defined]
    assert session.flights[0].state.hidden.mass.item() == pytest.approx(1.2)


def test_options_that_do_not_fit_are_refused_and_nothing_changes() -> None:
    session = Session(HOVER, [Entry(Pilot("a policy", Carried(policy_for(neutral()))))])
    flights = session.flights
    for options, word in (({"observation": "raptor"}, "observation"), ({"headng": "3"}, "headng")):
        with pytest.raises(HgrpoError, match=word):
            session.change_task(options)
        assert session.flights is flights
        assert session.task_options == {}
    session.step()


def test_policy_of_another_task_is_refused() -> None:
    with pytest.raises(PolicyMismatchError, match=HOVER):
        Session("quadrotor-gates", [Entry(Pilot("a policy", Carried(policy_for(neutral()))))])


def test_newest_checkpoint_of_a_training_is_flown_from_the_next_episode(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    pilot = TrainingPilot("run", checkpoint)
    session = Session(HOVER, [Entry(pilot)])
    assert "no checkpoint" in pilot.note
    session.step()
    assert session.flights[0].action.tolist() == [pytest.approx(session.flights[0].simulator.spec.neutral_action)]
    save(checkpoint, policy_for(session), {"iteration": 3, "simulator_steps": 12_000})
    session.step()
    assert pilot.loaded == 0
    session.restart()
    assert pilot.loaded == 1
    assert "iteration 3" in pilot.note
    assert "12,000" in pilot.note
    session.restart()
    assert pilot.loaded == 1
    save(checkpoint, policy_for(session, "gru"), {"iteration": 4})
    session.restart()
    assert pilot.loaded == 2
    assert "iteration 4" in pilot.note


def test_checkpoint_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    pilot = TrainingPilot("run", checkpoint)
    session = Session(HOVER, [Entry(pilot)])
    save(checkpoint, policy_for(session), {"iteration": 3})
    whole = checkpoint.read_bytes()
    session.restart()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    session.restart()
    session.step()
    assert pilot.loaded == 1
    assert "not read" in pilot.note
    checkpoint.write_bytes(whole)
    session.restart()
    assert pilot.loaded == 2
    assert "not read" not in pilot.note
