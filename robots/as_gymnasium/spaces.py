"""Gymnasium's spaces and metadata of a simulator, and conversions between arrays and tensors."""

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
    """Simulator of a named task with options, or the given simulator.

    Raises TypeError for a simulator with options.
    """
    if isinstance(task, str):
        return make(task, **options)
    if options:
        raise TypeError(f"options go with the name of a task; given a simulator and {', '.join(sorted(options))}")
    return task


def observation_space(spec: SimulatorSpec) -> Box:
    """Box (O,) of all finite float32 numbers; a simulator does not bound its observations."""
    limit = np.finfo(np.float32).max
    return Box(-limit, limit, (spec.observation_size,), np.float32)


def action_space(spec: SimulatorSpec) -> Box:
    """Box (A,) float32 with the bounds and units of the simulator."""
    return Box(np.array(spec.action_low, np.float32), np.array(spec.action_high, np.float32), dtype=np.float32)


def metadata(spec: SimulatorSpec) -> dict[str, Any]:
    """Gymnasium's metadata: "rgb_array" pictures, one frame per control step."""
    return {"render_modes": list(RENDER_MODES), "render_fps": spec.control_hz}


def check_render_mode(mode: str | None) -> None:
    """Raise HgrpoError for an unknown render mode."""
    if mode is not None and mode not in RENDER_MODES:
        raise HgrpoError(f"unknown render_mode {mode!r}; {nearest(str(mode), RENDER_MODES)}")


def read_actions(space: Box, actions: Any) -> Tensor:
    """Actions as a float32 tensor of the space's shape, clipped to its bounds.

    Raises:
        HgrpoError: The actions have another shape or contain NaN.
    """
    array = np.asarray(actions, dtype=np.float32)
    if array.shape != space.shape:
        raise HgrpoError(f"actions must have shape {space.shape}; given {array.shape}")
    if np.isnan(array).any():
        raise HgrpoError(f"actions must be numbers; given NaN in {np.argwhere(np.isnan(array))[0].tolist()}")
    return torch.from_numpy(np.clip(array, space.low, space.high))


def to_array(tensor: Tensor, dtype: Any = np.float32) -> np.ndarray:
    """Copy of a tensor as an array of a type."""
    return np.array(tensor.cpu().numpy(), dtype=dtype, order="C")
