"""Reward of a control step and the motion in the observation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from robots.kernels.launch import Kernel, Output
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


def motion(dtype: torch.dtype) -> Kernel:
    """Kernel from poses (B, 13 or more) to velocity, up and angular velocity (B, 9), in the body frame."""
    return Kernel(motion_of, dtype, [Output((MOTION,))])
