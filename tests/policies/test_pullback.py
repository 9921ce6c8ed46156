"""Pullbacks of actions against autograd, for every memory and activation."""

from __future__ import annotations

import pytest
import torch
from support.small_spec import small_spec
from torch import Tensor

from policies.actor_critic import ActorCritic
from policies.pullback import ActorPullback
from policies.spec import Channel

T, B, O, P, A = 3, 6, 3, 2, 2  # noqa: E741
PRIVILEGED = tuple(Channel(f"p{i}") for i in range(P))


@pytest.mark.parametrize("memory", [("none", 0), ("gru", 3), ("history", 2)], ids=["none", "gru", "history"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
@pytest.mark.parametrize("privileged", [(), PRIVILEGED], ids=["plain", "privileged critic"])
def test_a_pullback_is_the_derivative_of_action_and_next_memory(
    memory: tuple[str, int], activation: str, privileged: tuple[Channel, ...]
) -> None:
    kind, size = memory
    spec = small_spec(memory=kind, memory_size=size, activation=activation, privileged=privileged)
    generator = torch.Generator().manual_seed(1)
    policy = ActorCritic(spec, generator=generator).double()
    policy.update_normalizers(torch.randn(50, O + len(privileged), generator=generator))
    width, carried = O + len(privileged), policy.memory_width
    rows = torch.randn(T, B, width + carried, generator=generator, dtype=torch.float64)
    rows[:, 0, 0] = 1e3  # the normaliser clips it
    noise = torch.randn(T, B, A, generator=generator, dtype=torch.float64)
    by_action, by_memory = (torch.randn(T, B, k, generator=generator, dtype=torch.float64) for k in (A, carried))
    if kind == "gru":
        by_memory[..., spec.memory_width :] = 0.0  # of a recurrent critic

    def carry(row: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        mean, states = policy.acting()(row)
        action = mean + shift
        return action, policy.carry(row, states, action)

    pullback = ActorPullback(policy, rows)
    for t in reversed(range(T)):
        row = rows[t].clone().requires_grad_()
        action, after = carry(row, noise[t])
        (expected,) = torch.autograd.grad((by_action[t] * action).sum() + (by_memory[t] * after).sum(), row)
        total = by_action[t] + pullback.by_action(by_memory[t], action.detach())
        found = torch.cat(pullback(t, total, by_memory[t]), dim=1)
        assert found.abs().max() > 0.0
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_a_pullback_goes_through_an_actor_without_hidden_layers() -> None:
    policy = ActorCritic(small_spec(hidden_sizes=()))
    by_observation, by_memory = ActorPullback(policy, torch.zeros(1, B, O))(0, torch.ones(B, A), torch.zeros(B, 0))
    torch.testing.assert_close(by_observation, policy.actor[-1].weight.detach().sum(0).expand(B, O))
    assert by_memory.shape == (B, 0)
