"""Options of a task: a frozen dataclass of numbers and words, read from words such as mass=0.3."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from hgrpo_errors import HgrpoError, nearest

Options = TypeVar("Options")


class OptionError(HgrpoError):
    """An option that the task does not have, or a value that is not allowed."""


def parts_of(simulator: Any) -> tuple[Any, ...]:
    """Dataclass instances whose fields are the options of a simulator; empty if it has no attribute `options`."""
    options = getattr(simulator, "options", ())
    parts = options if isinstance(options, tuple) else (options,)
    return tuple(part for part in parts if dataclasses.is_dataclass(part))


def read_options(defaults: Options, given: Mapping[str, Any]) -> Options:
    """Copy of a task's options with the given ones replaced.

    Words are converted to the type of the field.

    Raises:
        OptionError: A name is unknown, or a value is not a finite number (float) or not a whole number (int).
        TypeError: The field of a given option is neither float nor int nor str.
    """
    fields = {field.name: getattr(defaults, field.name) for field in dataclasses.fields(defaults)}  # type: ignore[arg-type]
    for name in given:
        if name not in fields:
            raise OptionError(f"unknown task option {name!r}; {nearest(name, tuple(sorted(fields)))}")
    read = {name: _read(name, value, type(fields[name])) for name, value in given.items()}
    return dataclasses.replace(defaults, **read)  # type: ignore[type-var]


def _read(name: str, value: Any, kind: type) -> float | str:
    if kind is str:
        return str(value)
    if kind is int:
        return _whole(name, value)
    if kind is not float:  # bool("false") is true, so the other types cannot be converted by a call
        raise TypeError(f"task option {name} is of type {kind.__name__}; options are float, int or str")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise OptionError(f"task option {name} must be a number; given {value!r}") from None
    if not math.isfinite(number):
        raise OptionError(f"task option {name} must be finite; given {value!r}")
    return number


def _whole(name: str, value: Any) -> int:
    try:
        number = int(str(value))
    except ValueError:
        raise OptionError(f"task option {name} must be a whole number; given {value!r}") from None
    return number
