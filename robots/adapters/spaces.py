"""The spaces of a Gymnasium environment as flat vectors of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from robots.adapters.options import EnvironmentRefusedError


@dataclass(frozen=True)
class FlatSpaces:
    """How observations become vectors (O,) and vectors (A,) become actions."""

    observation: gymnasium.Space[Any]
    action: spaces.Box
    low: np.ndarray
    """(A,) float32."""
    high: np.ndarray

    @property
    def observation_size(self) -> int:
        """O."""
        return int(spaces.utils.flatdim(self.observation))

    def flatten(self, observation: Any) -> np.ndarray:
        """(O,) float64 of an observation; raises EnvironmentRefusedError for one of another size."""
        if isinstance(self.observation, spaces.Box):
            flat = np.array(observation, dtype=np.float64).reshape(-1)
        else:
            flat = np.asarray(spaces.utils.flatten(self.observation, observation), dtype=np.float64)
        if flat.shape != (self.observation_size,):
            raise EnvironmentRefusedError(
                f"an observation has {flat.size} numbers; its space {self.observation} has {self.observation_size}"
            )
        return flat

    def action_of(self, vector: np.ndarray) -> np.ndarray:
        """The action of a vector (A,), clipped to the bounds, in the space's shape and dtype."""
        near = np.clip(vector, self.low, self.high).reshape(self.action.shape).astype(self.action.dtype)
        # a bound of float64 such as 0.1 has no float32: its nearest may lie outside, as may what was rounded to float16
        return np.clip(near, self.action.low, self.action.high)

    @property
    def neutral(self) -> tuple[float, ...]:
        """Zero where the bounds allow it, their centre elsewhere."""
        centre = 0.5 * (self.low.astype(np.float64) + self.high)
        return tuple(np.where((self.low <= 0.0) & (self.high >= 0.0), 0.0, centre).tolist())


def read_spaces(env: gymnasium.Env[Any, Any], name: str, action_bound: float | None) -> FlatSpaces:
    """The flat spaces of an environment; `action_bound` closes actions that are unbounded.

    Raises EnvironmentRefusedError for anything but real-valued Box actions, and observations other than Box or a Dict
    or Tuple of Box.
    """
    observation, action = env.observation_space, env.action_space
    if not _is_box(observation) or spaces.utils.flatdim(observation) == 0:
        raise EnvironmentRefusedError(
            f"{name} observes {_kind(observation)}; allowed: Box, and Dict or Tuple of Box, with at least one number"
        )
    if not isinstance(action, spaces.Box) or not np.issubdtype(action.dtype, np.floating) or not action.low.size:
        raise EnvironmentRefusedError(f"{name} acts by {_kind(action)}; allowed: a Box of real numbers")
    low, high = action.low.astype(np.float64).reshape(-1), action.high.astype(np.float64).reshape(-1)
    # the largest number of a dtype is how some environments write infinity
    largest = min(float(np.finfo(action.dtype).max), float(np.finfo(np.float32).max))
    if action_bound is not None:
        low = np.where(np.abs(low) < largest, low, -action_bound)
        high = np.where(np.abs(high) < largest, high, action_bound)
    if not ((np.abs(low) < largest).all() and (np.abs(high) < largest).all()):
        raise EnvironmentRefusedError(
            f"{name} leaves its actions unbounded ({_kind(action)}); bound them with --task-options action_bound=1"
        )
    low, high = low.astype(np.float32), high.astype(np.float32)
    if not (low < high).all():
        raise EnvironmentRefusedError(f"{name} has an action whose bounds leave no choice: {_kind(action)}")
    return FlatSpaces(observation, action, low, high)


def _is_box(space: gymnasium.Space[Any]) -> bool:
    if isinstance(space, spaces.Dict):
        return all(_is_box(part) for part in space.spaces.values())
    if isinstance(space, spaces.Tuple):
        return all(_is_box(part) for part in space.spaces)
    return isinstance(space, spaces.Box)


def _kind(space: gymnasium.Space[Any]) -> str:
    if isinstance(space, spaces.Box):
        return (
            f"Box({space.low.min(initial=np.inf):g}, {space.high.max(initial=-np.inf):g}, {space.shape}, {space.dtype})"
        )
    return " ".join(str(space).split())
