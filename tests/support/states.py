"""States of any simulator: how they are met, walked through and compared bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from robots.simulator import Simulator, Step, map_state

ROWS = 6


def leaves(state: Any) -> Iterator[Any]:
    """Everything that a state holds, in order."""
    for part in state:
        if isinstance(part, tuple):
            yield from leaves(part)
        else:
            yield part


def same(a: Any, b: Any) -> bool:
    """Equal in every bit: types, dtypes, shapes and values of all arrays of a state or a step."""
    pairs = list(zip(leaves(a), leaves(b), strict=True))
    return type(a) is type(b) and all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)


def clone(state: Any) -> Any:
    return map_state(torch.clone, state)


def bounds(simulator: Simulator) -> tuple[Tensor, Tensor]:
    return torch.tensor(simulator.spec.action_low), torch.tensor(simulator.spec.action_high)


def random_actions(simulator: Simulator, steps: int, rows: int = ROWS, seed: int = 0) -> Tensor:
    """(S, B, A): alternately uniform within the bounds and at a random corner of them."""
    low, high = bounds(simulator)
    unit = torch.rand(steps, rows, simulator.spec.action_size, generator=torch.Generator().manual_seed(seed))
    unit[1::2] = unit[1::2].round()
    return low + (high - low) * unit


def running_states(simulator: Simulator, rows: int = ROWS, every: int = 5, num: int = 4) -> list[Any]:
    """States met on the way of a random rollout, the initial one first."""
    states = [simulator.reset(rows, 3)]
    for i in range(num - 1):
        state = states[-1]
        for action in random_actions(simulator, every, rows, seed=i):
            state = simulator.step(state, action).state
        states.append(state)
    return states


def follow(simulator: Simulator, state: Any, actions: Tensor) -> list[Step]:
    steps = []
    for action in actions:
        steps.append(simulator.step(state, action))
        state = steps[-1].state
    return steps
