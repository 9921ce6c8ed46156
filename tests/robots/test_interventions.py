"""Pushes, disturbances set by hand, and moved targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import robots
from robots.interventions import Disturbable, Disturbance, Pushable, Targeted
from robots.quadrotor.flight.simulator import QuadrotorFlight

NOTHING = Disturbance()


def flight(name: str = "quadrotor-hover", **options: str) -> QuadrotorFlight:
    simulator = robots.make(name, **options)
    assert isinstance(simulator, QuadrotorFlight)
    return simulator


def neutral(simulator: robots.simulator.Simulator, rows: int) -> torch.Tensor:
    return torch.tensor([simulator.spec.neutral_action] * rows)


def change_of_velocity(simulator: QuadrotorFlight, disturbance: Disturbance) -> np.ndarray:
    """(3,) difference that a disturbance makes to the velocity after one step [m/s]."""
    state, action = simulator.reset(1, 0), neutral(simulator, 1)
    plain = simulator.step(state, action).state.body.velocity
    return (simulator.step(simulator.disturbed(state, disturbance), action).state.body.velocity - plain)[0].numpy()


def test_quadrotors_can_be_pushed_disturbed_and_given_another_target() -> None:
    simulator = flight()
    assert isinstance(simulator, Pushable)
    assert isinstance(simulator, Disturbable)
    assert isinstance(simulator, Targeted)
    assert simulator.can_be_disturbed
    other = flight(physics="mujoco")
    assert not other.can_be_disturbed
    other.close()


def test_push_changes_the_velocity_only() -> None:
    simulator = flight()
    state, velocity = simulator.reset(2, 0), torch.tensor([[1.0, 0.0, 0.0], [0.0, -2.0, 0.5]])
    pushed = simulator.pushed(state, velocity)
    torch.testing.assert_close(pushed.body.velocity, state.body.velocity + velocity)
    assert torch.equal(pushed.body.values[:, 6:], state.body.values[:, 6:])
    assert torch.equal(pushed.body.position, state.body.position)


def test_disturbance_of_nothing_changes_a_step_by_rounding_only() -> None:
    assert np.abs(change_of_velocity(flight(), NOTHING)).max() < 1e-5


def test_wind_accelerates() -> None:
    change = change_of_velocity(flight(), Disturbance(wind=(3.0, -1.0, 0.5)))
    np.testing.assert_allclose(change, 0.01 * np.array([3.0, -1.0, 0.5]), rtol=0.01, atol=1e-5)


def test_mass_divides_the_acceleration_by_thrust() -> None:
    simulator = flight(quadrotor="learning-to-fly")  # without drag
    state, action = simulator.reset(1, 0), neutral(simulator, 1)

    def thrust(disturbance: Disturbance) -> np.ndarray:
        after = simulator.step(simulator.disturbed(state, disturbance), action).state.body.velocity
        return (after - state.body.velocity)[0].numpy() + np.array([0.0, 0.0, 0.0981])

    np.testing.assert_allclose(2.0 * thrust(Disturbance(mass=2.0)), thrust(NOTHING), rtol=0.02, atol=1e-4)


def test_weak_rotor_turns_the_body_towards_it() -> None:
    simulator = flight()
    state, action = simulator.reset(1, 0), neutral(simulator, 1)

    def rates(disturbance: Disturbance) -> torch.Tensor:
        return simulator.step(simulator.disturbed(state, disturbance), action).state.body.angular_velocity[0]

    change = rates(Disturbance(rotors=(0.5, None, None, None))) - rates(NOTHING)
    assert change[0] > 0.0  # rotor 1 is front right: roll to the right
    assert change[1] > 0.0  # and pitch forward


def test_values_that_are_not_set_stay_those_of_the_episode() -> None:
    simulator = flight("quadrotor-hover-randomized")
    state = simulator.reset(3, 0)
    set_by_hand = simulator.disturbed(state, Disturbance(mass=1.5, rotors=(None, 0.7))).hidden
    assert state.hidden
    assert set_by_hand
    assert torch.equal(set_by_hand.inertia, state.hidden.inertia)
    assert torch.equal(set_by_hand.rotor_thrust[:, [0, 2, 3]], state.hidden.rotor_thrust[:, [0, 2, 3]])
    assert set_by_hand.mass.flatten().tolist() == [1.5] * 3
    torch.testing.assert_close(set_by_hand.rotor_thrust[:, 1], torch.full((3,), 0.7))


@pytest.mark.parametrize("name", ["waypoints", "obstacles", "pursuit", "track"])
def test_moved_target_moves_in_the_state(name: str) -> None:
    simulator = flight(f"quadrotor-{name}")
    state, by = simulator.reset(2, 0), torch.tensor([[0.5, -0.25, 0.25], [0.0, 1.0, 0.0]])
    moved = simulator.with_target_moved(state, by)
    before, after = simulator.target_place(state), simulator.target_place(moved.state)
    assert before is not None
    assert after is not None
    torch.testing.assert_close(after, before + by)
    assert moved.frame == (0.0, 0.0, 0.0)
    assert torch.equal(moved.state.body.values, state.body.values)
    changed = simulator.observe(moved.state) - simulator.observe(state)
    assert (changed.abs().amax(dim=1) > 0.01).all()


@pytest.mark.parametrize("options", [{}, {"position_noise": "0.01"}])
def test_moved_target_of_hover_moves_the_drone_the_other_way(options: dict[str, str]) -> None:
    simulator = flight(**options)
    state, by = simulator.reset(1, 0), torch.tensor([[0.5, -0.25, 0.25]])
    moved = simulator.with_target_moved(state, by)
    torch.testing.assert_close(moved.state.body.position, state.body.position - by)
    assert moved.frame == (0.5, -0.25, 0.25)
    error = (simulator.observe(moved.state) - simulator.observe(state))[0, :3]
    assert error.norm().item() == pytest.approx(by.norm().item(), rel=1e-5)


def test_gates_have_no_target_to_move() -> None:
    simulator = flight("quadrotor-gates")
    assert simulator.target_place(simulator.reset(1, 0)) is None


@pytest.mark.parametrize("name", ["Walker2d-v5", "Ant-v5"])
def test_push_moves_the_centre_of_mass_of_a_mujoco_robot(name: str) -> None:
    import mujoco

    from robots.mujoco.simulator import MujocoSimulator

    simulator = robots.make(name)
    assert isinstance(simulator, MujocoSimulator)
    state, velocity = simulator.reset(2, 0), torch.tensor([[1.0, 0.0, 0.5], [-0.5, 0.0, 0.0]])
    pushed = simulator.pushed(state, velocity)
    data, jacobian = mujoco.MjData(simulator.model), np.zeros((3, simulator.model.nv))
    for row in range(2):
        data.qpos[:] = simulator.readout(state).qpos[row]
        mujoco.mj_fwdPosition(simulator.model, data)
        mujoco.mj_jacSubtreeCom(simulator.model, data, jacobian, 0)
        gained = simulator.readout(pushed).qvel[row] - simulator.readout(state).qvel[row]
        np.testing.assert_allclose(jacobian @ gained, velocity[row].numpy(), atol=1e-6)
