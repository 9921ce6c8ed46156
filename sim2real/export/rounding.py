"""Rounding errors by which two single-precision programs of one policy may differ."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from policies.actor_critic import ActorCritic
from sim2real.policy.metadata import TOLERANCE

_UNIT = 2.0**-24  # unit roundoff of single precision
_ACTIVATION = 8.0 * _UNIT  # error of a tanh or exp, or of their approximation; |tanh| <= 1
_CONFIDENCE = 4.0  # standard errors
_LARGEST = 0.09  # with a larger tolerance golden pairs detect no error


def tolerance(policy: ActorCritic, observation: NDArray[np.float32]) -> NDArray[np.float64]:
    """Tolerance within which two correct programs agree, as a share of each action's range.

    A sum of n products in any order has the error e = (sqrt(n) + 1) u (|W| |x| + |b|), u = 2^-24 (Higham and Mary,
    SIAM J. Sci. Comput. 41, 2019). Errors propagate through a float64 reference: e'^2 = W^2 e^2 + e_layer^2, and
    through an activation by its largest slope within the error. Never below TOLERANCE, never above 0.09.

    Args:
        policy: The policy, on the CPU.
        observation: (B, O) in the environment's units.

    Returns:
        (B, A).
    """
    with torch.no_grad():
        x = policy.normalizer(torch.from_numpy(observation)).double().numpy()
    error = _UNIT * np.abs(x)
    for layer in policy.actor:
        if isinstance(layer, nn.Linear):
            weight, bias = (parameter.detach().double().numpy() for parameter in (layer.weight, layer.bias))
            rounding = (np.sqrt(weight.shape[1]) + 1.0) * _UNIT * (np.abs(x) @ np.abs(weight).T + np.abs(bias))
            error = np.sqrt(error**2 @ (weight**2).T + rounding**2)
            x = x @ weight.T + bias
        else:
            nearest_zero = np.maximum(np.abs(x) - _CONFIDENCE * error, 0.0)
            slope = 1.0 - np.tanh(nearest_zero) ** 2 if isinstance(layer, nn.Tanh) else 1.0
            with torch.no_grad():
                x = layer(torch.from_numpy(x)).numpy()
            error = np.hypot(slope * error, _ACTIVATION * np.maximum(np.abs(x), 1.0))
    # normalised actions have a range of 2; the errors of two programs are independent
    share = _CONFIDENCE * np.sqrt(2.0) * error / 2.0
    return np.clip(share, TOLERANCE, _LARGEST)
