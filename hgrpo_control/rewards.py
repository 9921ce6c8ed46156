"""Reward transforms f(R), eq. 12 of the paper: what the learner is paid; reported returns stay raw."""

from __future__ import annotations

from torch import Tensor

TRANSFORMS = ("identity", "tanh")


def transform(reward: Tensor, name: str) -> Tensor:
    """f(R) element by element: `identity`, or `tanh`, the paper's default.

    tanh is blind to differences between large rewards: beyond |R| = 3 it moves by less than 0.005, so tasks that pay
    more than about 1 per step lose their ordering. Raises ValueError for another name.
    """
    if name == "identity":
        return reward
    if name == "tanh":
        return reward.tanh()
    raise ValueError(f"unknown reward transform {name!r}; allowed: {', '.join(TRANSFORMS)}")
