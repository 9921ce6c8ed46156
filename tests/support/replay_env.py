"""A simulator whose observation is its whole state, so that every step of a rollout can be replayed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from policies.actor_critic import ActorCritic
from robots.simulator import Step
from support.analytic_envs import Probe, fresh_policy, generator_of

TIME_LIMIT = 5


class LedgerState(NamedTuple):
    """Everything there is to know about a row."""

    birth: Tensor
    """(B,) drawn at reset: which episode this is."""
    age: Tensor
    """(B,) int64 steps so far."""
    total: Tensor
    """(B,) sum of actions so far."""


class Ledger(Probe):
    """Pays the action and ends for good when it is above 0.6; `spoil` may put NaN into what a step returns."""

    def __init__(self, spoil: Callable[[Step], Step] = lambda step: step) -> None:
        super().__init__("ledger", ("birth", "age", "total"), 1.0, TIME_LIMIT)
        self.spoil = spoil
        self.seen: list[tuple[LedgerState, Tensor]] = []

    def reset(self, num: int, seed: int | torch.Generator) -> LedgerState:
        """Births uniform in [0, 1)."""
        zero = torch.zeros(num)
        return LedgerState(torch.rand(num, generator=generator_of(seed)), zero.long(), zero)

    def observe(self, state: LedgerState) -> Tensor:
        """(B, 3) birth, age and total."""
        return torch.stack((state.birth, state.age.float(), state.total), dim=1)

    def step(self, state: LedgerState, action: Tensor) -> Step:
        """Book the action."""
        self.seen.append((state, action))
        a = action[:, 0]
        new = LedgerState(state.birth, state.age + 1, state.total + a)
        return self.spoil(Step(new, self.observe(new), a, a > 0.6))

    def success(self, state: LedgerState) -> Tensor:
        """(B,) the total is positive."""
        return state.total > 0.0


def spelled_out_critic(simulator: Any, init_sigma: float = 0.5) -> ActorCritic:
    """A policy with V = birth + 10 age + 100 total: the value says which observation it was asked about."""
    policy = fresh_policy(simulator, init_sigma=init_sigma)
    assert policy.critic is not None
    linear = policy.critic[0]
    assert isinstance(linear, torch.nn.Linear)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 10.0, 100.0]]))
    return policy
