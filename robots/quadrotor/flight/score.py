"""Reward of a control step and the motion in the observation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hgrpo_errors import unknown
from robots.kernels.launch import Kernel, Output
from robots.options import OptionError
from robots.quadrotor.flight.kernels import MOTION, command_change, motion_of
from robots.quadrotor.interfaces.interface import Interface


class Score:
    """Weighted sum of a mission's terms, minus the penalty on the change of action.

    reward = sum_i w_i term_i - penalty / A |2 (a - a_previous) / (high - low)|^2

    Args:
        interface: The interface, for the bounds of the action.
        terms: Names of the terms.
        dtype: Type of the state.
        device: Device of the state.
    """

    weights: Tensor
    """(W + 1,) weights of the terms, and the penalty."""

    def __init__(self, interface: Interface, terms: Sequence[str], dtype: torch.dtype, device: torch.device) -> None:
        self.terms, self._like = tuple(terms), torch.empty(0, dtype=dtype, device=device)
        self.scale = self._like.new_tensor([2.0 / (b - a) for a, b in zip(interface.low, interface.high, strict=True)])
        self._change = Kernel(command_change, dtype, [Output()])

    def set_weights(self, weights: Mapping[str, float], penalty: float) -> None:
        """Set the weight of each term, and the penalty."""
        self.weights = self._like.new_tensor([*(weights[name] for name in self.terms), penalty])

    def __call__(self, terms: Mapping[str, Tensor], command: Tensor, last: Tensor) -> Tensor:
        """Reward (B,).

        Args:
            terms: Terms (B,) by name.
            command: (B, A) command of the step.
            last: (B, A) command of the step before.
        """
        total = -self.weights[-1] * self._change(command, last, shared=(self.scale,))[0]
        for weight, name in zip(self.weights, self.terms, strict=False):
            total = total + weight * terms[name]
        return total


def weights_of(usual: Mapping[str, float], words: str) -> dict[str, float]:
    """Weights of the terms of a reward by name.

    Args:
        usual: The weights of the task.
        words: Those that differ, NAME=WEIGHT separated by commas; empty for none.

    Raises:
        OptionError: A term that the task does not have or that is given twice, or a weight that is not finite.
    """
    weights, given = dict(usual), set[str]()
    for word in filter(None, words.split(",")):
        name, _, number = (part.strip() for part in word.partition("="))
        if name not in usual:
            raise OptionError(unknown("term of the reward", name, tuple(usual)))
        if name in given:
            raise OptionError(f"the weight of {name} is given twice in {words!r}; allowed: once")
        given.add(name)
        try:
            weights[name] = float(number)
        except ValueError:
            weights[name] = math.nan
        if not math.isfinite(weights[name]):
            raise OptionError(f"the weight of {name} must be a finite number; given {word.strip()!r}")
    return weights


def motion(dtype: torch.dtype) -> Kernel:
    """Kernel from poses (B, 13 or more) to velocity, up and angular velocity (B, 9), in the body frame."""
    return Kernel(motion_of, dtype, [Output((MOTION,))])
