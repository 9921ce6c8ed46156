"""Slopes of branches: how the return of each sample changes with each of its actions."""

from __future__ import annotations

import torch
from torch import Tensor

from policies.actor_critic import ActorCritic
from robots.episodes import Transition


class SlopeTape:
    """Adds up the return of B rows over a branch, and differentiates it by every action.

    The return from step t on is R_t = sum over j >= t of gamma^(j-t) r_j + gamma^(n-t) V(s_n), where the sum ends with
    the episode. V stands for the rest at the end of the branch and at a time limit, and only if the policy has a
    critic. An action reaches R through the simulator and, closed loop, through the later actions of the policy. Since
    a = mean + sigma eps, dR/da is the pathwise derivative by the mean (Heess et al., 2015; Xu et al., 2022).

    Args:
        policy: Its critic gives V.
        gamma: Discount per step.
    """

    def __init__(self, policy: ActorCritic, gamma: float) -> None:
        self.policy, self.gamma = policy, gamma
        self._actions: list[Tensor] = []
        self._discounts: list[Tensor] = []
        self._discount: Tensor | None = None
        self._total: Tensor | float = 0.0

    def command(self, action: Tensor) -> Tensor:
        """Command (E, N, A) in the environment's units for unclipped actions (E, N, A).

        The clip to the bounds has the derivative 0 outside of them, so an action whose mean has drifted outside could
        never return. Here a slope that points inward passes as if the action were at the bound.
        """
        fixed = action.detach()
        free = action - fixed  # 0, with the derivative 1
        if free.requires_grad:
            free.register_hook(lambda slope: slope.masked_fill((fixed.abs() > 1.0) & (slope * fixed > 0.0), 0.0))
        half_range = 0.5 * (self.policy.action_high - self.policy.action_low)
        return self.policy.to_environment(fixed) + half_range * free

    def add(self, action: Tensor, transition: Transition, ended: Tensor, last: bool) -> None:
        """Add a step.

        Args:
            action: (E, N, A) of E N = B rows, whose derivative is wanted.
            transition: What followed.
            ended: (k,) int64 rows in which an episode ended.
            last: Whether the branch ends here.
        """
        discount = torch.ones_like(transition.reward) if self._discount is None else self._discount
        self._actions.append(action)
        self._discounts.append(discount)
        self._total = self._total + (discount * transition.reward).sum()
        self._discount = self.gamma * discount
        if self.policy.critic is not None:
            self._add_values(transition, ended, last)
        if ended.numel():
            self._discount = self._discount.index_fill(0, ended, 1.0)

    def _add_values(self, transition: Transition, ended: Tensor, last: bool) -> None:
        """Add gamma^(n-t) V of the rows whose return goes on after the step."""
        assert self._discount is not None
        if last:
            weight = torch.where(transition.terminated, 0.0, self._discount)
            self._total = self._total + (weight * self.policy.value(transition.observation)).sum()
        elif ended.numel():
            rows = ended[transition.truncated[ended]]
            if rows.numel():
                value = self.policy.value(transition.observation[rows])
                self._total = self._total + (self._discount[rows] * value).sum()

    def finish(self) -> Tensor:
        """(n, B, A) derivative of the return from each step on by the step's action; 0 where it has no effect."""
        assert isinstance(self._total, Tensor)
        by_action = torch.autograd.grad(self._total, self._actions, allow_unused=True, materialize_grads=True)
        # The return of a later step has a smaller discount in the total than in its own return.
        return torch.stack([g.flatten(0, 1) for g in by_action]) / torch.stack(self._discounts).unsqueeze(-1)
