"""Slopes of branches: how the return of each sample changes with each of its actions."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from policies.actor_critic import ActorCritic
from policies.pullback import ActorPullback
from robots.episodes import Transition
from robots.pullback import Gradient, Pullback, recorder
from robots.simulator import Simulator, Step


class _Recorded(NamedTuple):
    """A step of the branch."""

    rows: Tensor
    """(B, O + M) that the policy read; in the first step perhaps fewer."""
    action: Tensor
    """(B, A) unclipped, in normalised units."""
    discount: Tensor
    """(B,) gamma to the power of the steps since the start of the branch, or of the episode in it."""
    ended: Tensor
    """(k,) int64 rows in which an episode ended."""
    by_observation: Tensor | None
    """(B, O) derivative of gamma^(n-t) V by the observation after the step; None where there is none."""


class SlopeTape:
    """Records the steps of B rows in a branch, and differentiates the return by every action.

    The return from step t on is R_t = sum over j >= t of gamma^(j-t) r_j + gamma^(n-t) V(s_n), where the sum ends with
    the episode. V stands for the rest at the end of the branch and at a time limit, and only if the policy has a
    critic. An action reaches R through the simulator and, closed loop, through the later actions of the policy. Since
    a = mean + sigma eps, dR/da is the pathwise derivative by the mean (Heess et al., 2015; Xu et al., 2022).

    The clip of an action to its bounds has the derivative 0 outside of them, so an action whose mean has drifted
    outside could never return. Here a slope that points inward passes as if the action were at the bound.

    Args:
        simulator: A differentiable one.
        policy: The one that acts; its critic gives V.
        gamma: Discount per step.
    """

    def __init__(self, simulator: Simulator, policy: ActorCritic, gamma: float) -> None:
        self.policy, self.gamma = policy, gamma
        self._record = recorder(simulator)
        self._pullbacks: list[Pullback] = []
        self._steps: list[_Recorded] = []
        self._discount: Tensor | None = None

    def step(self, state: Any, command: Tensor) -> Step:
        """A step of the simulator."""
        step, pull_back = self._record(state, command)
        self._pullbacks.append(pull_back)
        return step

    def add(self, rows: Tensor, action: Tensor, transition: Transition, ended: Tensor, last: bool) -> None:
        """Add what led to the last step, and what followed.

        Args:
            rows: (B, O + M) that the policy read.
            action: (B, A) unclipped, in normalised units.
            transition: What followed.
            ended: (k,) int64 rows in which an episode ended.
            last: Whether the branch ends here.
        """
        discount = torch.ones_like(transition.reward) if self._discount is None else self._discount
        self._discount = self.gamma * discount
        by_observation = None if self.policy.critic is None else self._by_value(transition, ended, last)
        if ended.numel():
            self._discount = self._discount.index_fill(0, ended, 1.0)
        self._steps.append(_Recorded(rows, action, discount, ended, by_observation))

    def _by_value(self, transition: Transition, ended: Tensor, last: bool) -> Tensor | None:
        """Derivative of gamma^(n-t) V of the rows whose return goes on after the step."""
        assert self._discount is not None
        weight, seen = self._discount, transition.observation
        if last:
            weight = torch.where(transition.terminated, 0.0, weight)
            return self._value_slope(weight, seen)
        rows = ended[transition.truncated[ended]] if ended.numel() else ended
        if not rows.numel():
            return None
        slope = self._value_slope(weight[rows], seen[rows])
        return slope.new_zeros(len(seen), slope.shape[1]).index_copy(0, rows, slope)

    def _value_slope(self, weight: Tensor, seen: Tensor) -> Tensor:
        """Derivative of weight V by the observations, which are (k, O) of `seen` (k, O + M)."""
        with torch.enable_grad():
            seen = seen.detach().requires_grad_()
            (slope,) = torch.autograd.grad((weight * self.policy.value(seen)).sum(), seen)
        return slope[:, : seen.shape[1] - self.policy.memory_width]

    def finish(self) -> Tensor:
        """(n, B, A) derivative of the return from each step on by the step's action; 0 where it has no effect."""
        steps, last = self._steps, self._steps[-1]
        actions, discounts = torch.stack([s.action for s in steps]), torch.stack([s.discount for s in steps])
        low = torch.where(actions < -1.0, 0.0, -torch.inf)  # bounds of slopes: outside, only an inward one passes
        high = torch.where(actions > 1.0, 0.0, torch.inf)
        half_range = 0.5 * (self.policy.action_high - self.policy.action_low)
        actor = ActorPullback(self.policy, torch.stack([s.rows for s in steps[1:]])) if steps[1:] else None
        by_actions = torch.empty_like(actions)
        by_state: Gradient = ()
        by_memory = last.rows.new_zeros(len(last.action), self.policy.memory_width)
        by_observation = last.rows.new_zeros(len(last.action), last.rows.shape[-1] - self.policy.memory_width)
        for t in range(len(steps) - 1, -1, -1):
            step = steps[t]
            if step.ended.numel():  # what followed is another episode
                by_state = tuple(None if x is None else x.index_fill(0, step.ended, 0.0) for x in by_state)
                by_observation = by_observation.index_fill(0, step.ended, 0.0)
                by_memory = by_memory.index_fill(0, step.ended, 0.0)
            if step.by_observation is not None:
                by_observation = by_observation + step.by_observation
            by_state, by_command = self._pullbacks[t](by_state, by_observation, step.discount)
            by_action = torch.clamp(half_range * by_command, low[t], high[t], out=by_actions[t])
            if actor is not None:
                by_action += actor.by_action(by_memory, step.action)
                if t:
                    by_observation, by_memory = actor(t - 1, by_action, by_memory)
        # The return of a later step has a smaller discount in the total than in its own return.
        return by_actions / discounts.unsqueeze(-1)
