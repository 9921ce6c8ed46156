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
    """Raised for a value that is not what was expected; says what came and what was expected."""


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
        """(O,) float64 of an observation; raises MalformedError for one that its space does not describe."""
        parts = [part for part in _leaves("the observation", self.observation, observation) if part.size]
        return parts[0].copy() if len(parts) == 1 else np.concatenate(parts)

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
    observation, action = _space(env, name, "observation_space"), _space(env, name, "action_space")
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


def shown(value: Any) -> str:
    """A value in a few words on one line."""
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
    """A space that an environment has to declare."""
    space = getattr(env, which, None)
    if not isinstance(space, gymnasium.Space):
        kind = "none" if space is None else f"a {type(space).__module__}.{type(space).__name__}"
        raise EnvironmentRefusedError(
            f"{name} has to declare its {which} as a space of the package gymnasium, such as "
            f"gymnasium.spaces.Box(-1, 1, (2,)); found {kind}"
        )
    return space


def _leaves(what: str, space: gymnasium.Space[Any], value: Any) -> list[np.ndarray]:
    """The numbers of a value as vectors of float64, one for each Box of its space, in the order of `flatdim`."""
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
    """(n,) float64 of what stands for a Box, which may have another shape but not another size."""
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
