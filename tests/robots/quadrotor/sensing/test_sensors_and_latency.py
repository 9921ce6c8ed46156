"""Noise, bias and delay of what is observed, delay of what acts, and what past actions cost and show."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from support.states import same
from torch import Tensor

import robots
from robots.options import OptionError
from robots.quadrotor.body.pose import pose_of
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.hover import HoverOptions, QuadrotorHover
from robots.simulator import repeat

ROWS, STEPS = 6, 8


def make(**options: Any) -> QuadrotorHover:
    return QuadrotorHover(HoverOptions(**options), dtype=torch.float64)


PLAIN = make()


def actions(rows: int = ROWS, steps: int = STEPS) -> Tensor:
    return 0.4 * torch.rand(steps, rows, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def path(simulator: QuadrotorHover, rows: int = ROWS, steps: int = STEPS) -> list[FlightState]:
    """States on the same actions, the initial one first."""
    states = [simulator.reset(rows, 0)]
    for action in actions(rows, steps):
        states.append(simulator.step(states[-1], action).state)
    return states


def column(simulator: QuadrotorHover, name: str) -> int:
    return [q.name for q in simulator.spec.observation].index(name)


# --- noise and bias ---------------------------------------------------------------------------------------------------


def test_errors_have_the_deviations_that_were_asked_for() -> None:
    """Over 4,000 rows a sample deviation lies within 4 / sqrt(2 x 12,000) = 2.6 % of the true one, in all but about one
    of 16,000 cases."""
    noisy = make(position_noise=0.02, velocity_noise=0.05, attitude_noise=0.03, rate_noise=0.1)
    biased = make(position_bias=0.02, velocity_bias=0.05, attitude_bias=0.03, rate_bias=0.1)
    for simulator in (noisy, biased):
        state = path(simulator, 4000, 1)[1]
        sensed, true = simulator._sensed(state), pose_of(state.body)
        turn = true.in_body(sensed.rows[:, 1])[2]  # measured body y, seen along body z: the rotation about body x
        measured = {
            0.02: sensed.position - true.position,
            0.05: sensed.velocity - true.velocity,
            0.03: turn.unsqueeze(0),
            0.1: sensed.angular_velocity - true.angular_velocity,
        }
        for deviation, error in measured.items():
            assert error.std().item() == pytest.approx(deviation, rel=0.026 if len(error) == 3 else 0.045)
            assert abs(error.mean().item()) < 5.0 * deviation / error.numel() ** 0.5
        assert (sensed.rows.square().sum(dim=0) - 1.0).abs().max() < 1e-12


def test_noise_is_new_every_step_and_a_bias_stays() -> None:
    for kind, constant in (("noise", False), ("bias", True)):
        simulator = make(**{f"position_{kind}": 0.1})
        errors = [simulator._sensed(s).position - s.body.position.t() for s in path(simulator)]
        for a, b in itertools.pairwise(errors):
            assert torch.allclose(a, b, atol=1e-12) == constant
            assert not (a == 0.0).any()


def test_bodies_fly_and_rewards_are_paid_as_with_perfect_sensors() -> None:
    simulator = make(position_noise=0.1, rate_noise=0.5, velocity_bias=0.2)
    for a, b in zip(path(simulator), path(PLAIN), strict=True):
        assert same(a.body, b.body)
    action = actions()[0]
    step, plain = simulator.step(path(simulator)[0], action), PLAIN.step(path(PLAIN)[0], action)
    assert torch.equal(step.reward, plain.reward)
    assert not torch.equal(step.observation, plain.observation)


def test_siblings_share_measurements_until_their_keys_are_split() -> None:
    simulator = make(velocity_noise=0.1)
    state = repeat(path(simulator)[3], 2)
    split = simulator.split_noise(state, torch.arange(2).repeat(ROWS))
    assert torch.equal(simulator.observe(split), simulator.observe(state))
    action = actions()[0].repeat_interleave(2, dim=0)
    together, apart = (simulator.step(s, action).observation for s in (state, split))
    assert torch.equal(together[::2], together[1::2])
    assert torch.equal(apart[::2], together[::2])
    assert not (apart[::2, :6] == apart[1::2, :6]).all(dim=1).any()


# --- delays -----------------------------------------------------------------------------------------------------------


def test_a_late_observation_is_an_earlier_one() -> None:
    """All but the previous action is what a prompt sensor said 3 steps ago, and at first the first of it."""
    late, motion = make(observation_latency=3), slice(0, 12)
    prompt = [PLAIN.observe(state)[:, motion] for state in path(PLAIN)]
    for t, state in enumerate(path(late)):
        torch.testing.assert_close(late.observe(state)[:, motion], prompt[max(0, t - 3)], rtol=0, atol=1e-12)
        assert torch.equal(late.observe(state)[:, 12:], state.last_action)


def test_a_late_action_is_an_earlier_one() -> None:
    """With a latency of 2 the drone flies on two neutral actions first, then on what was sent two steps before."""
    late = make(action_latency=2)
    neutral = torch.tensor(PLAIN.spec.neutral_action, dtype=torch.float64).repeat(1, ROWS, 1)
    shifted = torch.cat((neutral, neutral, actions()))[:STEPS]
    state = PLAIN.reset(ROWS, 0)
    for action, flown in zip(shifted, path(late)[1:], strict=True):
        state = PLAIN.step(state, action).state
        assert same(state.body, flown.body)


def test_drawn_delays_are_uniform_and_told_to_a_privileged_critic() -> None:
    simulator = make(observation_latency=3, action_latency=2, latency="drawn")
    state = simulator.reset(4000, 0)
    names = [q.name for q in simulator.spec.privileged]
    told = simulator.privileged(state)
    for name, delay, most in (
        ("observation_delay", state.senses.delay, 3),  # type: ignore[union-attr]
        ("action_delay", state.sent.delay, 2),  # type: ignore[union-attr]
    ):
        counts = torch.bincount(delay, minlength=most + 1) / 4000.0
        assert len(counts) == most + 1
        assert (counts - 1.0 / (most + 1)).abs().max() < 0.04  # 5 standard deviations of a share of 4,000
        assert torch.equal(told[:, names.index(name)], delay.double())
    one = make(action_latency=2, latency="drawn")
    state = one.reset(60, 3)
    delay = state.sent.delay  # type: ignore[union-attr]
    moved = one.step(state, torch.full((60, 4), 1.0)).state.body.rotor_speed[:, 0] > state.body.rotor_speed[:, 0] + 1e-9
    assert torch.equal(moved, delay == 0)


# --- what a privileged critic sees ------------------------------------------------------------------------------------


def test_a_privileged_critic_sees_errors_and_biases() -> None:
    simulator = make(position_noise=0.1, velocity_bias=0.2, observation_latency=2, drag=0.5)
    state = path(simulator)[5]
    told = {q.name: simulator.privileged(state)[:, i] for i, q in enumerate(simulator.spec.privileged)}
    sensed, true = simulator._sensed(state), pose_of(state.body)
    error = true.in_body(sensed.velocity - true.velocity)
    bias = true.in_body(state.senses.bias[:, 3:6].t())  # type: ignore[union-attr, call-overload]
    for i, axis in enumerate("xyz"):
        torch.testing.assert_close(told[f"velocity_error_sensed_{axis}"], error[i])
        torch.testing.assert_close(told[f"velocity_bias_{axis}"], bias[i])
        assert not told[f"position_bias_{axis}"].any()
    assert torch.equal(told["drag_factor"], state.hidden.drag[:, 0])  # type: ignore[union-attr, call-overload]
    assert len(told) == simulator.spec.privileged_size == 15 + 1 + 12 + 12


# --- past actions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", [0, 1, 3])
def test_the_observation_ends_with_the_last_actions(history: int) -> None:
    simulator = make(action_history=history)
    assert simulator.spec.observation_size == 12 + 4 * history
    seen = simulator.observe(path(simulator)[-1])
    expected = actions().flip(0)[:history].transpose(0, 1).reshape(ROWS, -1)
    assert torch.equal(seen[:, 12:], expected)
    names = [q.name for q in simulator.spec.observation[12:]]
    assert names == ["previous_motor_1", "previous_motor_2", "previous_motor_3", "previous_motor_4"][: 4 * history] + [
        f"previous_{age}_motor_{i}" for age in range(2, history + 1) for i in (1, 2, 3, 4)
    ]


def test_a_change_of_action_costs_its_mean_square_over_the_range() -> None:
    """On ctbr a change of a tenth of each range is 0.2 in [-1, 1], and costs 0.2^2 times the weight."""
    prices = {}
    for penalty in (0.0, 0.7):
        simulator = make(interface="ctbr", action_difference_penalty=penalty)
        state = simulator.reset(ROWS, 0)
        low, high = (
            torch.tensor(x, dtype=torch.float64) for x in (simulator.spec.action_low, simulator.spec.action_high)
        )
        action = state.last_action + 0.1 * (high - low)
        prices[penalty] = simulator.step(state, action).reward
    expected = torch.full((ROWS,), 0.7 * 0.2**2, dtype=torch.float64)
    torch.testing.assert_close(prices[0.0] - prices[0.7], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate_noise": -0.1}, "rate_noise must be at least 0; given -0.1"),
        ({"action_latency": -1}, "action_latency must be from 0 to 100; given -1"),
        ({"latency": "drwn"}, "unknown latency 'drwn'; did you mean 'drawn'? allowed: fixed, drawn"),
        ({"drag": 1.0}, "drag must be at least 0 and below 1; given 1.0"),
        ({"difficulty": 1.5}, "difficulty must be from 0 to 1; given 1.5"),
        ({"action_latency": "1.5"}, "task option action_latency must be a whole number; given '1.5'"),
    ],
)
def test_a_setting_that_means_nothing_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        robots.make("quadrotor-hover", **options)
    assert str(caught.value) == message
