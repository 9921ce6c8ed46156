"""quadrotor-hover: where episodes start, what the policy sees, what it is paid for and how episodes end."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from scipy import stats
from scipy.spatial.transform import Rotation
from support.states import same
from torch import Tensor

from robots import simulator
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks import hover
from robots.quadrotor.tasks.hover import HoverOptions, HoverProgress, QuadrotorHover
from robots.quadrotor.tasks.hover_kernels import FLY_AWAY, SUCCESS_RADIUS

LEVEL = 1e-3  # p-value below which a fixed seed would be called a wrong distribution
TARGET = np.array(hover.TARGET)
SIM = QuadrotorHover(dtype=torch.float64)
NEUTRAL = np.array(SIM.spec.neutral_action)


def still(offset: ArrayLike, spin: ArrayLike = 0.0, last_action: ArrayLike = NEUTRAL) -> FlightState:
    """Upright rows hovering at the target plus `offset` (B, 3), turning about z at `spin` (B,)."""
    offset = np.atleast_2d(offset)
    rows = len(offset)

    def tensor(values: ArrayLike, size: int) -> Tensor:
        return torch.tensor(np.broadcast_to(values, (rows, size)).astype(np.float64))

    rate = np.zeros((rows, 3))
    rate[:, 2] = spin
    body = QuadrotorState.of(
        position=tensor(TARGET + offset, 3),
        velocity=tensor(0.0, 3),
        quaternion=tensor([1.0, 0.0, 0.0, 0.0], 4),
        angular_velocity=tensor(rate, 3),
        rotor_speed=tensor(SIM.parameters.hover_rotor_speed, 4),
    )
    counts = torch.zeros(rows, dtype=torch.int64)
    return FlightState(body, tensor(last_action, 4), HoverProgress(counts), counts.clone(), counts.clone())


def neutral(rows: int) -> Tensor:
    return torch.tensor(NEUTRAL).repeat(rows, 1)


def reward(state: FlightState) -> np.ndarray:
    """Reward of a neutral step, which leaves `still` rows where they are."""
    return np.asarray(SIM.step(state, neutral(simulator.num_rows(state))).reward)


def along_x(distance: ArrayLike) -> np.ndarray:
    return np.asarray(distance)[..., None] * [1.0, 0.0, 0.0]


def rollout(rows: int, steps: int, seed: int = 0) -> FlightState:
    """State after random actions."""
    state, generator = SIM.reset(rows, seed), torch.Generator().manual_seed(seed)
    for _ in range(steps):
        state = SIM.step(state, 2.0 * torch.rand(rows, 4, generator=generator, dtype=torch.float64) - 1.0).state
    return state


def matrices(state: FlightState) -> Rotation:
    return Rotation.from_quat(state.body.quaternion.numpy(), scalar_first=True)


# --- initial states ---------------------------------------------------------------------------------------------------


def test_initial_positions_fill_a_ball_uniformly() -> None:
    """In a uniform ball the cubed radius and each coordinate of the direction are uniform."""
    offset = SIM.reset(20_000, 0).body.position.numpy() - TARGET
    radius = np.linalg.norm(offset, axis=1)
    assert radius.max() <= hover.START_RADIUS * (1.0 + 1e-12)
    assert stats.kstest((radius / hover.START_RADIUS) ** 3, "uniform").pvalue > LEVEL
    for coordinate in (offset / radius[:, None]).T:
        assert stats.kstest(coordinate, "uniform", (-1.0, 2.0)).pvalue > LEVEL
    assert offset[:, 2].min() + TARGET[2] > 0.5  # nothing starts near the ground


def test_initial_attitudes_have_any_heading_and_uniform_tilt() -> None:
    state = SIM.reset(20_000, 1)
    rotation = matrices(state).as_matrix()
    tilt = np.degrees(np.arccos(np.clip(rotation[:, 2, 2], -1.0, 1.0)))
    assert tilt.max() <= 90.0 + 1e-9
    assert tilt.max() > 85.0
    assert stats.kstest(tilt, "uniform", (0.0, 90.0)).pvalue > LEVEL
    for side in (0, 2):  # where body x and body z point, seen from above
        heading = np.arctan2(rotation[:, 1, side], rotation[:, 0, side])
        assert stats.kstest(heading, "uniform", (-np.pi, 2.0 * np.pi)).pvalue > LEVEL
    np.testing.assert_allclose(state.body.quaternion.norm(dim=1), 1.0, rtol=0, atol=1e-14)


def test_initial_speeds_are_uniform_and_rotors_hover() -> None:
    state = SIM.reset(20_000, 2)
    for values, limit in ((state.body.velocity, hover.START_SPEED), (state.body.angular_velocity, hover.START_RATE)):
        for column in values.numpy().T:
            assert np.abs(column).max() <= limit
            assert stats.kstest(column, "uniform", (-limit, 2.0 * limit)).pvalue > LEVEL
    assert (state.body.rotor_speed == SIM.parameters.hover_rotor_speed).all()
    np.testing.assert_array_equal(state.last_action, np.broadcast_to(NEUTRAL, (20_000, 4)))
    assert not state.mission.steps_inside.any()
    assert len(set(state.noise_key.tolist())) == 20_000


def test_seeds_decide_and_a_generator_is_advanced() -> None:
    first, again, other = SIM.reset(5, 7), SIM.reset(5, 7), SIM.reset(5, 8)
    generator = torch.Generator().manual_seed(7)
    drawn, later = SIM.reset(5, generator), SIM.reset(5, generator)
    assert same(first, again)
    assert same(first, drawn)
    for different in (other, later):
        for field in ("position", "velocity", "quaternion", "angular_velocity"):
            assert not torch.equal(getattr(first.body, field), getattr(different.body, field))
        assert not torch.equal(first.noise_key, different.noise_key)


# --- observation ------------------------------------------------------------------------------------------------------


def test_observation_entry_by_entry() -> None:
    state = rollout(50, 20)
    seen, body, to_body = SIM.observe(state).numpy(), state.body, matrices(state).inv()
    expected = {
        "position_error": to_body.apply(TARGET - body.position.numpy()),
        "velocity": to_body.apply(body.velocity.numpy()),
        "up": to_body.apply([0.0, 0.0, 1.0]),
        "angular_velocity": body.angular_velocity.numpy(),
    }
    columns = {f"{name}_{axis}": v[:, i] for name, v in expected.items() for i, axis in enumerate("xyz")}
    columns |= {f"previous_motor_{i + 1}": state.last_action[:, i].numpy() for i in range(4)}
    assert [channel.name for channel in SIM.spec.observation] == list(columns)
    for i, column in enumerate(columns.values()):
        np.testing.assert_allclose(seen[:, i], column, rtol=0, atol=1e-13)
    assert [channel.unit for channel in SIM.spec.observation[::3]] == ["m", "m/s", "1", "rad/s", "1", "1"]


def test_nothing_depends_on_the_heading() -> None:
    """Turning the world about the vertical through the target changes no observation, reward or end."""
    state = rollout(50, 10)
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, 50)
    turn = Rotation.from_rotvec(np.outer(angle, [0.0, 0.0, 1.0]))
    body = state.body.changed(
        position=torch.tensor(TARGET + turn.apply(state.body.position.numpy() - TARGET)),
        velocity=torch.tensor(turn.apply(state.body.velocity.numpy())),
        quaternion=torch.tensor((turn * matrices(state)).as_quat(scalar_first=True)),
    )
    turned = state._replace(body=body)
    np.testing.assert_allclose(SIM.observe(turned), SIM.observe(state), rtol=0, atol=1e-12)
    for action in torch.rand(20, 50, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64):
        a, b = SIM.step(state, action), SIM.step(turned, action)
        np.testing.assert_allclose(b.observation, a.observation, rtol=0, atol=1e-10)
        np.testing.assert_allclose(b.reward, a.reward, rtol=0, atol=1e-10)
        assert torch.equal(a.terminated, b.terminated)
        state, turned = a.state, b.state


# --- reward -----------------------------------------------------------------------------------------------------------


def test_reward_is_the_documented_formula() -> None:
    """The formula is read from the module's docstring, so that the two cannot part."""
    block = re.search(r"Reward per step.*?\n\n((?: {4}.*\n)+)", hover.__doc__ or "")
    assert block is not None
    formula = block[1].replace("|a - a_previous|", "change").replace("|omega|", "omega").replace("^", "**")
    formula = re.sub(r"(?<=[\d)]) +(?=[a-z(])", " * ", " ".join(formula.split()))
    state = rollout(200, 3)
    step = SIM.step(state, torch.rand(200, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    d = np.linalg.norm(step.state.body.position.numpy() - TARGET, axis=1)
    omega = np.linalg.norm(step.state.body.angular_velocity.numpy(), axis=1)
    change = np.linalg.norm((step.state.last_action - state.last_action).numpy(), axis=1)
    expected = eval(formula, {"d": d, "omega": omega, "change": change, "exp": np.exp, "sqrt": np.sqrt})
    np.testing.assert_allclose(step.reward, expected, rtol=1e-12)


def test_reward_is_greatest_at_rest_on_the_target() -> None:
    rng = np.random.default_rng(0)
    best = reward(still(np.zeros(3)))[0]
    offset = rng.normal(size=(500, 3)) * rng.choice([0.01, 0.1, 1.0], (500, 1))
    others = reward(still(offset, rng.normal(size=500) * 5.0, rng.uniform(-1.0, 1.0, (500, 4))))
    assert best > 0.0
    assert (others < best).all()
    assert (np.abs(others) <= best).all()  # no step costs more than the best one earns


def test_reward_falls_with_distance_rate_and_change_of_action() -> None:
    assert (np.diff(reward(still(along_x(np.linspace(0.0, 1.2 * FLY_AWAY, 200))))) < 0.0).all()
    assert (np.diff(reward(still(np.zeros((50, 3)), spin=np.linspace(0.0, 20.0, 50)))) < 0.0).all()
    change = np.outer(np.linspace(0.0, 0.5, 50), np.ones(4))
    assert (np.diff(reward(still(np.zeros((50, 3)), last_action=NEUTRAL - change))) < 0.0).all()


def test_flying_on_pays_more_than_ending_the_episode() -> None:
    """Every step inside the allowed range pays, however fast the body turns, unless the commands thrash."""
    distance = np.linspace(0.0, FLY_AWAY, 40)
    for spin in (0.0, 1.0, 10.0, 1000.0):
        assert (reward(still(along_x(distance), spin)) > 0.0).all()


# --- ends of an episode -----------------------------------------------------------------------------------------------


def test_touching_the_ground_ends_the_episode() -> None:
    state = still([[0.0, 0.0, 0.01 - TARGET[2]], [0.0, 0.0, 0.02 - TARGET[2]], [0.0, 0.0, 0.5 - TARGET[2]]])
    state.body.velocity[:, 2] = torch.tensor([-1.5, -1.5, -1.5])
    step = SIM.step(state, neutral(3))
    assert step.terminated.tolist() == [True, False, False]  # 1.5 cm further down
    assert step.state.body.position[0, 2] == 0.0
    assert SIM.step(step.state, neutral(3)).terminated.tolist() == [True, True, False]


def test_flying_away_ends_the_episode() -> None:
    distance = FLY_AWAY + np.array([-1e-6, 1e-6])
    for direction in ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.6, 0.0, 0.8]):
        step = SIM.step(still(np.outer(distance, direction)), neutral(2))
        assert step.terminated.tolist() == [False, True]


def test_success_takes_exactly_one_second_inside() -> None:
    state = still(along_x([0.0, SUCCESS_RADIUS - 1e-6, SUCCESS_RADIUS + 1e-6]))
    needed = round(hover.SUCCESS_SECONDS * hover.CONTROL_HZ)
    assert needed == 100
    for count in range(1, needed + 3):
        step = SIM.step(state, neutral(3))
        state = step.state
        assert state.mission.steps_inside.tolist() == [count, count, 0]
        assert SIM.success(state).tolist() == [count >= needed, count >= needed, False]
        assert not step.terminated.any()


def test_leaving_the_radius_starts_the_count_again() -> None:
    state = still(along_x([0.0, 1.0]))._replace(mission=HoverProgress(torch.tensor([57, 99])))
    after = SIM.step(state, neutral(2)).state
    assert after.mission.steps_inside.tolist() == [58, 0]
    assert not SIM.success(after).any()


# --- actions and signals ----------------------------------------------------------------------------------------------


def test_actions_beyond_the_bounds_are_clipped() -> None:
    state = rollout(20, 5)
    action = 4.0 * torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    beyond, clipped = SIM.step(state, action), SIM.step(state, action.clamp(-1.0, 1.0))
    assert action.abs().max() > 1.0
    assert torch.equal(beyond.state.last_action, action.clamp(-1.0, 1.0))
    assert torch.equal(beyond.observation, clipped.observation)
    assert torch.equal(beyond.reward, clipped.reward)


def test_signals_name_what_they_measure() -> None:
    state = rollout(30, 10)
    signals = SIM.signals(state)
    tilt = np.degrees(np.arccos(matrices(state).as_matrix()[:, 2, 2]))
    np.testing.assert_allclose(signals["tilt [deg]"][:, 0], tilt, atol=1e-6)
    np.testing.assert_allclose(signals["position error [m]"], state.body.position.numpy() - TARGET, atol=1e-15)
    assert torch.equal(signals["angular velocity [rad/s]"], state.body.angular_velocity)
    assert torch.equal(signals["motor command [1]"], state.last_action)


def test_an_unknown_quadrotor_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown quadrotor 'cf21B_50'; did you mean 'cf21B_500'"):
        QuadrotorHover(HoverOptions(quadrotor="cf21B_50"))
