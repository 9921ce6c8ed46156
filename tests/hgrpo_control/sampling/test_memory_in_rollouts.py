"""Memory in rollouts: it travels with the episodes, and slopes flow through it."""

from __future__ import annotations

import pytest
import torch
from support.analytic_envs import ScalarLQR
from torch import Tensor

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.learning.recurrent_gradient import RecurrentGradient
from hgrpo_control.sampling.sampler import Sampler
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from policies.memory import Recurrent, pack
from robots.simulator import Simulator

GAMMA = 0.9
KINDS = (("gru", 5), ("history", 3))


def policy_for(simulator: Simulator, memory: str, size: int, critic: bool = True) -> ActorCritic:
    network = Network(hidden_sizes=(8,), memory=memory, memory_size=size)  # type: ignore[arg-type]
    made = ActorCritic(
        policy_spec(simulator.spec, network, critic), init_sigma=0.1, generator=torch.Generator().manual_seed(2)
    )
    with torch.no_grad():
        made.actor[-1].weight.mul_(8.0)  # type: ignore[operator]
    return made


@pytest.mark.parametrize(("memory", "size"), KINDS)
@pytest.mark.parametrize("branch_length", [1, 4])
def test_memory_follows_from_the_row_before_and_ends_with_the_episode(
    memory: str, size: int, branch_length: int
) -> None:
    simulator = robots.make("quadrotor-hover")
    policy = policy_for(simulator, memory, size)
    sampler = Sampler(simulator, policy, 6, 3, branch_length, 8, seed=1)
    for _ in range(12):
        rollout, _ = sampler.collect()
        shared = rollout.observation.shape[2]
        done, acting = rollout.done[:, :, :shared], policy.acting()
        rows = rollout.observation
        carried = policy.carry(rows, acting(rows)[1], rollout.action[:, :, :shared])
        # The row of the next step: each sample within its branch, else where the executed sample went on.
        within = (torch.arange(7) + 1) % branch_length != 0
        source = torch.where(within.view(-1, 1, 1, 1), carried[:-1], carried[:-1, :, :1])
        ended = torch.where(within.view(-1, 1, 1), done[:-1], done[:-1, :, :1])
        expected = torch.where(ended.unsqueeze(-1), 0.0, source)
        torch.testing.assert_close(rows[1:, ..., -policy.memory_width :], expected, rtol=1e-5, atol=1e-6)
        if done[:-1].any():
            return
    raise AssertionError("no episode ended")


@pytest.mark.parametrize(("memory", "size"), KINDS)
def test_siblings_change_no_bit_of_the_executed_path(memory: str, size: int) -> None:
    simulator = robots.make("quadrotor-hover")
    policy = policy_for(simulator, memory, size)
    alone, branched = (Sampler(simulator, policy, 4, n, 8, 32, seed=1) for n in (1, 4))
    for _ in range(4):
        one, four = alone.collect()[0], branched.collect()[0]
        assert torch.equal(one.observation[:, :, 0], four.observation[:, :, 0])
        assert torch.equal(one.action[:, :, 0], four.action[:, :, 0])


@pytest.mark.parametrize("memory", ["gru", "history"])
def test_slopes_and_the_gradient_through_time_are_the_derivative_of_the_return(memory: str) -> None:
    """sum of gamma^t slope_t d mean_t / d theta is dR / d theta of the closed loop, memory included."""
    steps, simulator = 4, ScalarLQR(GAMMA, 2.0, 9)
    policy = policy_for(simulator, memory, 3, critic=False)
    sampler = Sampler(simulator, policy, 16, 1, steps, steps, seed=0, slope_gamma=GAMMA)
    start = sampler.roots.state
    rollout, _ = sampler.collect()
    assert rollout.slope is not None
    assert rollout.noise is not None
    assert (rollout.action.abs() < 1.0).all()

    parameters = list(policy.actor.parameters())
    acting, state, total = policy.acting(), start, torch.zeros(())
    row = torch.cat((simulator.observe(state), torch.zeros(16, policy.memory_width)), dim=1)
    for t in range(steps):
        mean, states = acting(row)
        action = mean + policy.sigma.detach() * rollout.noise[t, :, 0]
        step = simulator.step(state, policy.to_environment(action))
        state, total = step.state, total + GAMMA**t * step.reward.sum()
        row = torch.cat((step.observation, policy.carry(row, states, action)), dim=1)
    expected = torch.autograd.grad(total, parameters)

    discounts = GAMMA ** torch.arange(steps).view(-1, 1, 1)
    slope = (discounts * rollout.slope[:, :, 0]).transpose(0, 1).flatten(0, 1)
    rows = rollout.observation[:, :, 0].transpose(0, 1).flatten(0, 1)
    for name, found in zip(expected, by_parameters(policy, rows, slope, steps), strict=True):
        torch.testing.assert_close(found, name, rtol=1e-3, atol=1e-4)


def by_parameters(policy: ActorCritic, rows: Tensor, slope: Tensor, steps: int) -> list[Tensor]:
    """Gradient of the sum of slope . mean over paths of `steps` rows, observations held fixed.

    A history holds observations and actions, so only a GRU has a gradient through time: the effect of an action by way
    of the history is part of its slope.
    """
    if not policy.recurrent:
        mean = policy.mean(rows)
        return list(torch.autograd.grad((slope * mean).sum(), list(policy.actor.parameters())))
    assert isinstance(policy.actor, Recurrent)
    for parameter in policy.actor.parameters():
        parameter.grad = torch.zeros_like(parameter)
    written_out = RecurrentGradient(policy.actor)
    features = policy.critic_features(rows)
    written_out.forward(features, rows[:, -policy.memory_width :], pack(torch.arange(len(rows)) % steps == 0))
    written_out.backward(slope)
    return [parameter.grad for parameter in policy.actor.parameters() if parameter.grad is not None]
