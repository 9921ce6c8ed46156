"""Pullbacks of single steps against autograd's graph over many."""

from __future__ import annotations

import pytest
import torch
from support.analytic_envs import ConstantReward
from support.differentiable_pendulum import Pendulum
from support.states import leaves, same
from torch import Tensor

import robots
from robots.privileged import Privileged
from robots.pullback import Gradient, recorder
from robots.simulator import Simulator, map_state

STEPS, ROWS = 5, 4
LATE = {"action_latency": 2, "position_noise": 0.01, "mass": 0.2}


def simulators() -> dict[str, Simulator]:
    return {
        "torch": Pendulum(torch.float64),
        "one kernel": robots.make("quadrotor-gates", dtype=torch.float64),
        "inner loops": robots.make("quadrotor-hover", dtype=torch.float64, interface="velocity"),
        "several kernels": robots.make("quadrotor-hover", dtype=torch.float64, **LATE),
        "privileged": Privileged(robots.make("quadrotor-hover", dtype=torch.float64, mass=0.2)),
    }


@pytest.mark.parametrize("name", list(simulators()))
def test_pullbacks_one_after_the_other_are_the_gradient_through_all_steps(name: str) -> None:
    simulator, generator = simulators()[name], torch.Generator().manual_seed(0)
    neutral = torch.tensor(simulator.spec.neutral_action, dtype=torch.float64)
    actions = neutral + 0.1 * torch.randn(STEPS, ROWS, len(neutral), generator=generator, dtype=torch.float64)
    start = simulator.reset(ROWS, 0)
    shown = simulator.observe(start)
    by_observations = torch.randn(STEPS, *shown.shape, generator=generator, dtype=torch.float64)
    by_rewards = torch.randn(STEPS, ROWS, generator=generator, dtype=torch.float64)

    followed, state, total = actions.clone().requires_grad_(), start, torch.zeros((), dtype=torch.float64)
    for action, by_observation, by_reward in zip(followed, by_observations, by_rewards, strict=True):
        step = simulator.step(state, action)
        state = step.state
        total = total + (by_observation * step.observation).sum() + (by_reward * step.reward).sum()
    (expected,) = torch.autograd.grad(total, followed)

    state, pullbacks = start, []
    for action in actions:
        plain = simulator.step(state, action)
        step, pull_back = recorder(simulator)(state, action)
        assert same(step, map_state(Tensor.detach, plain))
        assert not any(x.requires_grad for x in leaves(step))
        state = step.state
        pullbacks.append(pull_back)
    by_state: Gradient = ()
    found = torch.empty_like(actions)
    for t in reversed(range(STEPS)):
        by_state, found[t] = pullbacks[t](by_state, by_observations[t], by_rewards[t])
    assert expected.abs().amin() > 0.0
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


def test_a_step_without_any_slope_pulls_back_zeros() -> None:
    simulator = ConstantReward(3, ends=False)
    _, pull_back = recorder(simulator)(simulator.reset(2, 0), torch.zeros(2, 1))
    by_state, by_action = pull_back((), torch.ones(2, 3), torch.ones(2))
    assert by_state == ()
    assert torch.equal(by_action, torch.zeros(2, 1))
