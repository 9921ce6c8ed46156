"""Requirements of every export, and the observations on which exports are checked."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic
from policies.carried import Carried
from policies.normalizer import CLIP, ObservationNormalizer

SINGLE_MAX = float(np.finfo(np.float32).max)
EXTREMES = (0.0, 1e3, -1e3, 1e6, -1e6)
GOLDEN_ROWS = (0, 1, 2, 5, 6, 7, 8, 9)  # of the check observations: three extremes and five drawn ones
FEWEST_CHECKS = max(GOLDEN_ROWS) + 1 - len(EXTREMES)
GOLDEN_SEQUENCES = (1, 5, 6)  # of the check sequences: one begins with an extreme, two with drawn observations
GOLDEN_STEPS = 5  # of each golden sequence
CALIBRATION_ROWS = 2048  # most steps of sequences that calibrate int8; they are drawn from more
_SEQUENCES = 8


class ExportError(HgrpoError):
    """Raised for a policy that cannot be exported, or whose export differs from it."""


def refuse_non_finite(policy: ActorCritic) -> None:
    """Raise ExportError unless all numbers of a policy are finite, also in single precision."""
    shift, scale = policy.normalizer.shift_and_scale()
    action_range = policy.action_high - policy.action_low
    numbers = {
        **policy.state_dict(),
        "normalizer.mean in single precision": shift,
        "the reciprocal of normalizer.scale": scale.reciprocal(),
        "the action range": action_range,
        "the reciprocal of the action range": action_range.reciprocal(),
    }
    for name, tensor in numbers.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ExportError(f"{name} holds a value that is not finite; allowed: finite values")


def refuse_overflow(policy: ActorCritic, largest: float = SINGLE_MAX) -> None:
    """Raise ExportError if a layer could exceed `largest`.

    The bound is |W x + b| <= |W| |x| + |b|, from |x| <= 10 at the first layer. The state of a GRU is within [-1, 1].
    """
    bound = np.full(policy.actor_inputs, CLIP)
    for index, layer in enumerate(policy.actor):
        if isinstance(layer, nn.Linear):
            bound = _reach(layer.weight, layer.bias, bound)
        elif isinstance(layer, nn.GRUCell):
            by_state = _reach(layer.weight_hh, layer.bias_hh, np.ones(layer.hidden_size))
            bound = _reach(layer.weight_ih, layer.bias_ih, bound) + by_state
        else:
            bound = np.minimum(bound, 1.0) if isinstance(layer, nn.Tanh) else np.maximum(bound, 1.0)
        if bound.max() > largest:
            raise ExportError(
                f"layer actor.{index} can reach {bound.max():.3g}; allowed in this precision: up to {largest:.3g}"
            )
        if isinstance(layer, nn.GRUCell):
            bound = np.ones(layer.hidden_size)


def _reach(weight: Tensor, bias: Tensor, bound: NDArray[np.float64]) -> NDArray[np.float64]:
    reach: NDArray[np.float64] = np.abs(array(weight)).astype(np.float64) @ bound + np.abs(array(bias))
    return reach


def check_inputs(policy: ActorCritic, checks: int) -> NDArray[np.float32]:
    """Check observations: (5 + checks, O), or (checks, 8, O) over the steps of 8 sequences for a policy with memory."""
    if not policy.spec.memory_width:
        return check_observations(policy.normalizer, checks)
    rows = check_observations(policy.normalizer, checks * _SEQUENCES)
    observation = rows[len(EXTREMES) :].reshape(checks, _SEQUENCES, -1)
    observation[0, : len(EXTREMES)] = rows[: len(EXTREMES)]
    return observation


def check_observations(normalizer: ObservationNormalizer, checks: int) -> NDArray[np.float32]:
    """Check observations (5 + checks, O): extremes, then draws.

    Every second one is wide enough to be clipped.
    """
    shift, scale = (array(tensor).astype(np.float64) for tensor in normalizer.shift_and_scale())
    drawn = np.random.default_rng(0).standard_normal((checks, shift.size))
    drawn[1::2] *= 0.5 * CLIP
    extremes = np.repeat(np.array(EXTREMES)[:, np.newaxis], shift.size, axis=1)
    observation = np.concatenate([extremes, shift + drawn / scale])
    return np.clip(observation, -SINGLE_MAX, SINGLE_MAX).astype(np.float32)


def actions_of(policy: ActorCritic, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Deterministic actions (B, A) of observations (B, O); (T, B, A) of (T, B, O) for a policy with memory."""
    act = Carried(policy)
    if not policy.spec.memory_width:
        return act(torch.from_numpy(observation)).numpy()
    return np.stack([act(torch.from_numpy(rows)).numpy() for rows in observation])


def memories_of(policy: ActorCritic, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Memory (T, B, M) that a policy has before each of the steps (T, B, O) of sequences."""
    memory, memories = torch.zeros(observation.shape[1], policy.spec.memory_width), []
    with torch.no_grad():
        for rows in torch.from_numpy(observation):
            memories.append(memory.numpy())
            _, memory = policy(rows, memory)
    return np.stack(memories)


def golden_part(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """The golden ones of check observations or of their actions: (K, ...), or (K, T, ...) of (T, B, ...)."""
    if values.ndim == 2:
        return values[list(GOLDEN_ROWS)]
    sequences = [index for index in GOLDEN_SEQUENCES if index < values.shape[1]] or [0]
    return values[:GOLDEN_STEPS, sequences].swapaxes(0, 1)


def checkpoint_hash(policy: ActorCritic) -> str:
    """SHA-256 of the state_dict, in hexadecimal.

    For each name in sorted order it covers a header, "name dtype [shape]" and a newline, and the values: row-major,
    little-endian, in their own precision.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(policy.state_dict().items()):
        values = tensor.detach().cpu().numpy()
        digest.update(f"{name} {values.dtype.name} {list(values.shape)}\n".encode())
        digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def array(tensor: Tensor) -> NDArray[np.float32]:
    """A CPU tensor as an array in single precision."""
    return tensor.detach().numpy().astype(np.float32)
