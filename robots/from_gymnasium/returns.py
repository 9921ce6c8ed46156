"""Checks of the values that an environment returns from reset and step.

Every form except that of Gymnasium is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import torch

from hgrpo_errors import HgrpoError
from robots.from_gymnasium.spaces import FlatSpaces, MalformedError, shown

_RESET = "(observation, info)"
_STEP = "(observation, reward, terminated, truncated, info)"


class EnvironmentFailedError(HgrpoError):
    """An environment that raises, returns a wrong value, or truncates although its options forbid it."""


class Outcome(NamedTuple):
    """Result of a reset or a step, in double precision."""

    observation: np.ndarray
    """(O,) float64."""
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


def read_reset(name: str, spaces: FlatSpaces, answer: Any) -> Outcome:
    """Outcome of a reset.

    Args:
        name: Name of the environment in messages.
        spaces: Its spaces.
        answer: What `reset` returned.

    Raises:
        EnvironmentFailedError: It is not (observation, info).
    """
    try:
        observation, info = _parts(answer, 2, _RESET)
        read = _info(info)  # first, because the observation of an old gym environment may have two entries
        return Outcome(spaces.flatten(observation), 0.0, False, False, read)
    except MalformedError as error:
        raise EnvironmentFailedError(f"{name} returned from reset {error}") from error


def read_step(name: str, spaces: FlatSpaces, answer: Any) -> Outcome:
    """Outcome of a step; arguments and errors are those of `read_reset`."""
    try:
        observation, reward, terminated, truncated, info = _parts(answer, 5, _STEP)
        flags = _flag("terminated", terminated), _flag("truncated", truncated)
        return Outcome(spaces.flatten(observation), _number("reward", reward), *flags, _info(info))
    except MalformedError as error:
        raise EnvironmentFailedError(f"{name} returned from step {error}") from error


def _parts(answer: Any, number: int, form: str) -> tuple[Any, ...]:
    if not isinstance(answer, (tuple, list)):
        raise MalformedError(f"{shown(answer)}; expected {form}")
    if len(answer) != number:
        raise MalformedError(f"{len(answer)} values; expected {number}: {form}")
    return tuple(answer)


def _info(info: Any) -> dict[str, Any]:
    if not isinstance(info, Mapping):
        raise MalformedError(f"the info {shown(info)}; expected a dict")
    if info.get("is_success") is not None:
        _number('info["is_success"]', info["is_success"])
    return info  # type: ignore[return-value]


def _flag(what: str, value: Any) -> bool:
    number = _number(what, value, "true or false")
    if number not in (0.0, 1.0):
        raise MalformedError(f"{what} = {shown(value)}; expected true or false")
    return bool(number)


def _number(what: str, value: Any, expected: str = "one number") -> float:
    """A number, or that of an array with one entry, which many environments return."""
    if type(value) in (float, np.float64, bool):  # fast path: this runs in every step
        return float(value)
    try:
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        if array.size == 1 and (array.dtype.kind in "biuf" or isinstance(value, Real)):
            return float(array.reshape(-1)[0])
    except Exception as error:  # a foreign object may raise anything
        raise MalformedError(f"{what} = {shown(value)}; expected {expected}") from error
    raise MalformedError(f"{what} = {shown(value)}; expected {expected}")
