"""Gradients of actions, pulled back to what the actor read, for many steps one after the other.

What the actor read is known beforehand. So the derivative of each function of single entries, such as an activation, is
computed for all steps at once, and a step is then a few small matrix products. Autograd takes several times as long.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from policies.actor_critic import ActorCritic
from policies.memory import Recurrent, gated


class ActorPullback:
    """Vector-Jacobian products of the mean action and the next memory of T steps of B rows.

    Args:
        policy: The one that acted; its parameters do not change meanwhile.
        rows: (T, B, O + P + M) that it read.
    """

    @torch.no_grad()
    def __init__(self, policy: ActorCritic, rows: Tensor) -> None:
        self.policy, actor = policy, policy.actor
        self._privileged = rows.shape[-1] - policy.memory_width - policy.spec.observation_size
        memory = rows[..., rows.shape[-1] - policy.memory_width :]
        x, (scale,) = _differentiated(policy.actor_features(), rows)
        self._layers: list[Tensor] = []  # weights (O, I), and derivatives (T, B, O) of functions of single entries
        if x.shape != rows.shape:
            size = policy.spec.observation_size
            scale = torch.cat((scale[..., :size], scale[..., rows.shape[-1] - x.shape[-1] + size :]), dim=-1)
        self._layers.append(scale)
        for module in actor.hidden_layers if isinstance(actor, Recurrent) else actor:
            if isinstance(module, nn.Linear):
                x = module(x)
                self._layers.append(module.weight.detach())
            else:
                x, (slope,) = _differentiated(module, x)
                self._layers.append(slope)
        if isinstance(actor, Recurrent):
            cell, hidden = actor.cell, memory[..., : policy.spec.memory_width]
            by_input = nn.functional.linear(x, cell.weight_ih, cell.bias_ih)
            by_state = nn.functional.linear(hidden, cell.weight_hh, cell.bias_hh)
            _, self._gates = _differentiated(gated, by_input, by_state, hidden)

    @torch.no_grad()
    def __call__(self, t: int, by_mean: Tensor, by_memory: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients by the observation (B, O + P) and the memory (B, M) before a step.

        Args:
            t: The step.
            by_mean: (B, A) gradient by the mean action.
            by_memory: (B, M) gradient by the memory after the step; that of a recurrent critic has no effect.
        """
        policy, actor, by_features = self.policy, self.policy.actor, by_mean
        size, before = policy.spec.observation_size, by_memory
        if isinstance(actor, Recurrent):
            by_features, before = self._through_gru(actor, t, by_mean, by_memory)
        for layer in reversed(self._layers):
            by_features = by_features @ layer if layer.dim() == 2 else by_features * layer[t]
        by_observation = by_features[:, :size]
        if policy.spec.memory == "history":
            newest = size + by_mean.shape[1]
            by_observation = by_observation + by_memory[:, :size]
            before = by_features[:, size:] + nn.functional.pad(by_memory[:, newest:], (0, newest))
        if self._privileged:
            by_observation = nn.functional.pad(by_observation, (0, self._privileged))
        return by_observation, before

    def by_action(self, by_memory: Tensor, action: Tensor) -> Tensor | float:
        """Gradient by an action (B, A), unclipped, that the memory after it holds, for the gradient by that memory."""
        if self.policy.spec.memory != "history":
            return 0.0
        size = self.policy.spec.observation_size
        return by_memory[:, size : size + action.shape[1]].masked_fill(action.abs() > 1.0, 0.0)

    def _through_gru(self, actor: Recurrent, t: int, by_mean: Tensor, by_memory: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients by the inputs of the GRU and by the memory (B, M) before the step."""
        own = self.policy.spec.memory_width
        by_input, by_state, by_hidden = (gate[t] for gate in self._gates)
        out, cell = actor[-1], actor.cell
        assert isinstance(out, nn.Linear)
        by_after = torch.addmm(by_memory[:, :own], by_mean, out.weight)
        of_each_gate = by_after.repeat(1, 3)
        before = torch.addmm(by_after * by_hidden, of_each_gate * by_state, cell.weight_hh)
        unused = by_memory.shape[1] - own
        return (of_each_gate * by_input) @ cell.weight_ih, nn.functional.pad(before, (0, unused)) if unused else before


def _differentiated(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A function whose results each depend on one entry of each input, or fewer, and its derivatives by the inputs."""
    with torch.enable_grad():
        inputs = tuple(x.detach().requires_grad_() for x in inputs)
        y = function(*inputs)
        slopes = torch.autograd.grad(y.sum(), inputs)
    return y.detach(), slopes
