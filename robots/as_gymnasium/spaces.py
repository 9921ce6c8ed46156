"""What Gymnasium sees of a simulator: its spaces and metadata, and arrays in place of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from hgrpo_errors import HgrpoError, nearest
from robots.registry import make
from robots.simulator import Simulator, SimulatorSpec

RENDER_MODES = ("rgb_array",)


def open_task(task: str | Simulator, options: dict[str, Any]) -> Simulator:
    """Simulator of a registered task with its options, or the simulator itself, which takes none (TypeError)."""
    if isinstance(task, str):
        return make(task, **options)
    if options:
        raise TypeError(f"options go with the name of a task; given a simulator and {', '.join(sorted(options))}")
    return task


def observation_space(spec: SimulatorSpec) -> Box:
    """Box (O,) float32 of every finite number, because a simulator does not bound its observations."""
    limit = np.finfo(np.float32).max
    return Box(-limit, limit, (spec.observation_size,), np.float32)


def action_space(spec: SimulatorSpec) -> Box:
    """Box (A,) float32 with the bounds of the simulator, in its own units."""
    return Box(np.array(spec.action_low, np.float32), np.array(spec.action_high, np.float32), dtype=np.float32)


def metadata(spec: SimulatorSpec) -> dict[str, Any]:
    """How an environment draws: "rgb_array", one frame per control step."""
    return {"render_modes": list(RENDER_MODES), "render_fps": spec.control_hz}


def check_render_mode(mode: str | None) -> None:
    """Raises ValueError for a mode of rendering that no environment of ours has."""
    if mode is not None and mode not in RENDER_MODES:
        raise HgrpoError(f"unknown render_mode {mode!r}; {nearest(str(mode), RENDER_MODES)}")


def read_actions(space: Box, actions: Any) -> Tensor:
    """Float32 tensor of the space's shape, each entry clipped to its bounds.

    Raises ValueError for another shape and for NaN.
    """
    array = np.asarray(actions, dtype=np.float32)
    if array.shape != space.shape:
        raise HgrpoError(f"actions must have shape {space.shape}; given {array.shape}")
    if np.isnan(array).any():
        raise HgrpoError(f"actions must be numbers; given NaN in {np.argwhere(np.isnan(array))[0].tolist()}")
    return torch.from_numpy(np.clip(array, space.low, space.high))


def to_array(tensor: Tensor, dtype: Any = np.float32) -> np.ndarray:
    """The numbers of a tensor in memory of their own."""
    return np.array(tensor.cpu().numpy(), dtype=dtype, order="C")
