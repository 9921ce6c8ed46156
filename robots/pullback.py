"""Control steps whose gradients are pulled back one after the other, without a graph over many steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from robots.simulator import Simulator, Step, map_state

Gradient = tuple[Tensor | None, ...]
"""Gradient by the floating arrays (B, ...) of a state, in an order of the simulator; None is zero, and so is ()."""

Pullback = Callable[[Gradient, Tensor, Tensor], tuple[Gradient, Tensor]]
"""Vector-Jacobian product of one step: from gradients by the new state, its observation (B, O) and the reward (B,) to
those by the state before and by the action (B, A)."""


@runtime_checkable
class Recording(Protocol):
    """A simulator with a faster way than autograd."""

    def recorded_step(self, state: Any, action: Tensor) -> tuple[Step, Pullback]:
        """A step and its pullback; see `recorder`."""
        ...


def recorder(simulator: Simulator) -> Callable[[Any, Tensor], tuple[Step, Pullback]]:
    """Function from a state (B rows) and an action (B, A) to the bits of `simulator.step` and its pullback.

    The simulator must be differentiable.
    """
    return simulator.recorded_step if isinstance(simulator, Recording) else partial(by_autograd, simulator)


def by_autograd(simulator: Simulator, state: Any, action: Tensor) -> tuple[Step, Pullback]:
    """A step and its pullback, with autograd's graph of this one step."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []

    def followed(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        inputs.append(x.detach().requires_grad_())
        return inputs[-1]

    def freed(x: Tensor) -> Tensor:
        if x.is_floating_point():
            outputs.append(x)
        return x.detach()

    with torch.enable_grad():
        step = simulator.step(map_state(followed, state), followed(action))
    new = map_state(freed, step.state)
    outputs += [step.observation, step.reward]

    def pull_back(by_state: Gradient, by_observation: Tensor, by_reward: Tensor) -> tuple[Gradient, Tensor]:
        given = (*(by_state or [None] * (len(outputs) - 2)), by_observation, by_reward)
        reached = [i for i, x in enumerate(given) if x is not None and outputs[i].requires_grad]
        found: Gradient = (None,) * len(inputs)
        if reached:
            by_reached = [given[i] for i in reached]
            found = torch.autograd.grad([outputs[i] for i in reached], inputs, by_reached, allow_unused=True)
        return found[:-1], torch.zeros_like(action) if found[-1] is None else found[-1]

    return Step(new, step.observation.detach(), step.reward.detach(), step.terminated), pull_back
