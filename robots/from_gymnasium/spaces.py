"""The spaces of a Gymnasium environment as flat vectors of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from hgrpo_errors import HgrpoError
from robots.from_gymnasium.options import EnvironmentRefusedError

_LONGEST = 60  # characters of a value in a message


class MalformedError(HgrpoError):
    """A value of another form than expected; the message has both."""


@dataclass(frozen=True)
class FlatSpaces:
    """Conversion of observations to vectors (O,) and of vectors (A,) to actions."""

    observation: gymnasium.Space[Any]
    action: spaces.Box
    low: np.ndarray
    """(A,) float32."""
    high: np.ndarray

    @property
    def observation_size(self) -> int:
        """Number of entries O of an observation."""
        return int(spaces.utils.flatdim(self.observation))

    def flatten(self, observation: Any) -> np.ndarray:
        """Observation as a vector (O,) float64; raises MalformedError if it is not in its space."""
        parts = [part for part in _leaves("the observation", self.observation, observation) if part.size]
        return parts[0].copy() if len(parts) == 1 else np.concatenate(parts)

    def action_of(self, vector: np.ndarray) -> np.ndarray:
        """Action of a vector (A,), clipped to the bounds, in the shape and dtype of the space."""
        near = np.clip(vector, self.low, self.high).reshape(self.action.shape).astype(self.action.dtype)
        # rounding to float32 or float16 may move a value beyond a float64 bound such as 0.1
        return np.clip(near, self.action.low, self.action.high)

    @property
    def neutral(self) -> tuple[float, ...]:
        """Neutral action (A,): zero if the bounds allow it, else their centre."""
        centre = 0.5 * (self.low.astype(np.float64) + self.high)
        return tuple(np.where((self.low <= 0.0) & (self.high >= 0.0), 0.0, centre).tolist())


def read_spaces(env: gymnasium.Env[Any, Any], name: str, action_bound: float | None) -> FlatSpaces:
    """Read the spaces of an environment.

    Args:
        env: The environment.
        name: Its name in messages.
        action_bound: Bound of action entries that are unbounded.

    Raises:
        EnvironmentRefusedError: Actions are not a bounded Box of real numbers, or observations are not Box, or Dict or
            Tuple of Box.
    """
    observation, action = _space(env, name, "observation_space"), _space(env, name, "action_space")
    if not _is_box(observation) or spaces.utils.flatdim(observation) == 0:
        raise EnvironmentRefusedError(
            f"{name} has observations {_kind(observation)}; allowed: Box, Dict or Tuple of Box, not empty"
        )
    if not isinstance(action, spaces.Box) or not np.issubdtype(action.dtype, np.floating) or not action.low.size:
        raise EnvironmentRefusedError(f"{name} has actions {_kind(action)}; allowed: a Box of real numbers")
    low, high = action.low.astype(np.float64).reshape(-1), action.high.astype(np.float64).reshape(-1)
    # some environments write infinity as the largest number of the dtype
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
        raise EnvironmentRefusedError(f"{name} has an action entry with equal bounds: {_kind(action)}")
    return FlatSpaces(observation, action, low, high)


def shown(value: Any) -> str:
    """Short description of a value, in one line."""
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return f"an array of shape {tuple(value.shape)} of {value.dtype}"
    if isinstance(value, (dict, tuple, list)) and len(value) > 4:
        return f"a {type(value).__name__} of {len(value)}"
    try:
        words = " ".join(repr(value).split())
    except Exception:  # a foreign object may raise anything
        words = f"a {type(value).__name__}"
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."


def _space(env: gymnasium.Env[Any, Any], name: str, which: str) -> gymnasium.Space[Any]:
    """Space that an environment must declare."""
    space = getattr(env, which, None)
    if not isinstance(space, gymnasium.Space):
        kind = "none" if space is None else f"a {type(space).__module__}.{type(space).__name__}"
        raise EnvironmentRefusedError(
            f"{name} must declare its {which} as a space of the package gymnasium, such as "
            f"gymnasium.spaces.Box(-1, 1, (2,)); found {kind}"
        )
    return space


def _leaves(what: str, space: gymnasium.Space[Any], value: Any) -> list[np.ndarray]:
    """Numbers of a value as float64 vectors, one per Box of the space.

    Their order is that of `flatdim`.
    """
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping):
            raise MalformedError(f"{what} {shown(value)}; expected a dict with the keys {', '.join(space.spaces)}")
        missing = [key for key in space.spaces if key not in value]
        if missing:
            raise MalformedError(f"{what} without its key {missing[0]!r}; expected {', '.join(space.spaces)}")
        pairs = [(f"{what}[{key!r}]", part, value[key]) for key, part in space.spaces.items()]
    elif isinstance(space, spaces.Tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(space.spaces):
            raise MalformedError(f"{what} {shown(value)}; expected a tuple of {len(space.spaces)}")
        pairs = [(f"{what}[{i}]", part, value[i]) for i, part in enumerate(space.spaces)]
    else:
        return [_numbers(what, space, value)]
    return [leaf for pair in pairs for leaf in _leaves(*pair)]


def _numbers(what: str, space: gymnasium.Space[Any], value: Any) -> np.ndarray:
    """Numbers (n,) float64 of a value of a Box; its shape may differ, its size may not."""
    expected = f"expected numbers of shape {space.shape}"
    try:
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    except Exception as error:  # ragged lists, and foreign objects that may raise anything
        raise MalformedError(f"{what} {shown(value)}, which is no array of numbers; {expected}") from error
    if array.dtype.kind not in "biuf":
        raise MalformedError(f"{what} {shown(value)}, which is no array of numbers; {expected}")
    if array.size != spaces.utils.flatdim(space):
        raise MalformedError(f"{what} of {array.size} numbers, shape {array.shape}; {expected}")
    return array.astype(np.float64, copy=False).reshape(-1)


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
