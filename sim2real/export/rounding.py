"""Rounding errors by which two single-precision programs of one policy may differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from policies.actor_critic import ActorCritic
from sim2real.policy.metadata import TOLERANCE

_UNIT = 2.0**-24  # unit roundoff of single precision
_ACTIVATION = 8.0 * _UNIT  # error of a tanh or exp, or of their approximation; |tanh| <= 1
_CONFIDENCE = 4.0  # standard errors
_LARGEST = 0.09  # with a larger tolerance golden pairs detect no error


Values = NDArray[np.float64]


def tolerance(policy: ActorCritic, observation: NDArray[np.float32]) -> Values:
    """Tolerance within which two correct programs agree, as a share of each action's range.

    A sum of n products in any order has the error e = (sqrt(n) + 1) u (|W| |x| + |b|), u = 2^-24 (Higham and Mary,
    SIAM J. Sci. Comput. 41, 2019). Errors propagate through a float64 reference: e'^2 = W^2 e^2 + e_layer^2, and
    through an activation by its largest slope within the error. A memory carries its error from step to step. Never
    below TOLERANCE, never above 0.09.

    Args:
        policy: The policy, on the CPU.
        observation: (B, O) in the environment's units; (T, B, O) over the steps of sequences for a policy with memory.

    Returns:
        (B, A) or (T, B, A).
    """
    with torch.no_grad():
        normalized = policy.normalizer(torch.from_numpy(observation)).double().numpy()
    match policy.spec.memory:
        case "gru":
            error = _of_recurrent(policy, normalized)
        case "history":
            error = _of_history(policy, normalized)
        case _:
            error = _through(policy, normalized, _UNIT * np.abs(normalized))[1]
    # normalised actions have a range of 2; the errors of two programs are independent
    share = _CONFIDENCE * np.sqrt(2.0) * error / 2.0
    return np.clip(share, TOLERANCE, _LARGEST)


def golden_tolerance(policy: ActorCritic, observation: NDArray[np.float32]) -> float:
    """Largest tolerance of golden observations (K, O) or of golden sequences (K, T, O)."""
    steps = observation.swapaxes(0, 1) if policy.spec.memory_width else observation
    return float(tolerance(policy, steps).max())


def _of_recurrent(policy: ActorCritic, normalized: Values) -> Values:
    state = np.zeros((2, normalized.shape[1], policy.spec.memory_size))  # values and errors
    errors = []
    for x in normalized:
        _, error, state = _through(policy, x, _UNIT * np.abs(x), state)
        errors.append(error)
    return np.stack(errors)


def _of_history(policy: ActorCritic, normalized: Values) -> Values:
    rows, width = normalized.shape[1], policy.spec.memory_width
    past = np.zeros((2, rows, width))  # values and errors
    with torch.no_grad():
        before = policy.normalizer(torch.zeros(policy.spec.observation_size)).double().numpy()
    past[0] = np.tile(np.append(before, np.zeros(policy.spec.action_size)), policy.spec.memory_size)
    errors = []
    for x in normalized:
        now = np.stack((x, _UNIT * np.abs(x)))
        mean, error, _ = _through(policy, *np.concatenate((now, past), axis=2))
        errors.append(error)
        past = np.concatenate((now, np.stack((mean.clip(-1.0, 1.0), error)), past), axis=2)[..., :width]
    return np.stack(errors)


def _through(policy: ActorCritic, x: Values, error: Values, state: Values | None = None) -> tuple[Values, Values, Any]:
    """Outputs of the actor, their errors, and the state of its GRU with its errors."""
    for layer in policy.actor:
        if isinstance(layer, nn.Linear):
            x, error = _linear(layer.weight, layer.bias, x, error)
        elif isinstance(layer, nn.GRUCell):
            assert state is not None
            x, error = _gru(layer, x, error, *state)
            state = np.stack((x, error))
        else:
            slope = _tanh_slope(x, error) if isinstance(layer, nn.Tanh) else 1.0
            with torch.no_grad():
                x = layer(torch.from_numpy(x)).numpy()
            error = np.hypot(slope * error, _ACTIVATION * np.maximum(np.abs(x), 1.0))
    return x, error, state


def _linear(weight: Tensor, bias: Tensor, x: Values, error: Values) -> tuple[Values, Values]:
    w, b = (parameter.detach().double().numpy() for parameter in (weight, bias))
    rounding = (np.sqrt(w.shape[1]) + 1.0) * _UNIT * (np.abs(x) @ np.abs(w).T + np.abs(b))
    return x @ w.T + b, np.sqrt(error**2 @ (w**2).T + rounding**2)


def _gru(cell: nn.GRUCell, x: Values, error: Values, state: Values, state_error: Values) -> tuple[Values, Values]:
    """State and its error after a step; the equations are those of policies.memory."""
    by_input, input_error = _linear(cell.weight_ih, cell.bias_ih, x, error)
    by_state, error_by_state = _linear(cell.weight_hh, cell.bias_hh, state, state_error)
    (r, z, n), (e_r, e_z, e_n) = (np.split(values, 3, axis=-1) for values in (by_input, input_error))
    (s_r, s_z, s_n), (f_r, f_z, f_n) = (np.split(values, 3, axis=-1) for values in (by_state, error_by_state))
    reset, e_reset = _sigmoid(r + s_r, np.hypot(e_r, f_r))
    update, e_update = _sigmoid(z + s_z, np.hypot(e_z, f_z))
    before = n + reset * s_n
    error = np.sqrt(e_n**2 + (s_n * e_reset) ** 2 + (reset * f_n) ** 2 + (_UNIT * before) ** 2)
    new, error = np.tanh(before), np.hypot(_tanh_slope(before, error) * error, _ACTIVATION)
    parts = ((1.0 - update) * error, update * state_error, (state - new) * e_update, 2.0 * _UNIT)
    return new + update * (state - new), np.sqrt(sum(part**2 for part in parts))


def _sigmoid(x: Values, error: Values) -> tuple[Values, Values]:
    return 0.5 + 0.5 * np.tanh(0.5 * x), np.hypot(0.25 * _tanh_slope(0.5 * x, 0.5 * error) * error, _ACTIVATION)


def _tanh_slope(x: Values, error: Values) -> Values:
    """Largest slope of tanh within the error."""
    slope: Values = 1.0 - np.tanh(np.maximum(np.abs(x) - _CONFIDENCE * error, 0.0)) ** 2
    return slope
