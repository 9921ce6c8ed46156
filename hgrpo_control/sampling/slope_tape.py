"""Slopes of branches: how the return of each sample changes with each of its actions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from policies.actor_critic import ActorCritic
from robots.episodes import Transition


class _AtBounds(torch.autograd.Function):
    """The command of a normalised action; at a bound its slope points inward or is 0."""

    @staticmethod
    def forward(ctx: Any, action: Tensor, command: Tensor, half_range: Tensor) -> Tensor:
        """The command itself."""
        ctx.save_for_backward(action, half_range)
        return command.clone()

    @staticmethod
    def backward(ctx: Any, *by_command: Tensor) -> tuple[Tensor, None, None]:
        """Half the range of the command times its slope, less what points outward."""
        action, half_range = ctx.saved_tensors
        slope = by_command[0] * half_range
        outward = ((action > 1.0) & (slope > 0.0)) | ((action < -1.0) & (slope < 0.0))
        return slope.masked_fill(outward, 0.0), None, None


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
        with torch.no_grad():
            command = self.policy.to_environment(action)
            half_range = 0.5 * (self.policy.action_high - self.policy.action_low)
        bounded: Tensor = _AtBounds.apply(action, command, half_range)
        return bounded

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
        """(n, B, A) derivative of the return from each step on by the step's action."""
        assert isinstance(self._total, Tensor)
        by_action = torch.autograd.grad(self._total, self._actions)
        # The return of a later step has a smaller discount in the total than in its own return.
        return torch.stack([g.flatten(0, 1) for g in by_action]) / torch.stack(self._discounts).unsqueeze(-1)
