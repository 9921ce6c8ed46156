"""Checks of settings: each returns one error line, or None for allowed values; importable without torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from math import inf
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hgrpo_errors import unknown


def choice_problem(settings: Any) -> str | None:
    """The first field whose value is not one of the choices of its Literal type."""
    for name, kind in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if get_origin(kind) is Literal and value not in get_args(kind):
            return unknown(name, value, get_args(kind))
    return None


def count_problem(counts: Mapping[str, int]) -> str | None:
    """The first number below 1."""
    for name, count in counts.items():
        if count < 1:
            return f"{name} must be at least 1; given {count}"
    return None


def share_problem(shares: Mapping[str, float]) -> str | None:
    """The first number outside [0, 1]."""
    for name, share in shares.items():
        if not 0.0 <= share <= 1.0:
            return f"{name} must lie in [0, 1]; given {share}"
    return None


def positive_problem(values: Mapping[str, float]) -> str | None:
    """The first number that is not above 0."""
    for name, value in values.items():
        if not value > 0.0:
            return f"{name} must be above 0; given {value}"
    return None


def weight_problem(weights: Mapping[str, float]) -> str | None:
    """The first number that is negative or not finite."""
    for name, weight in weights.items():
        if not 0.0 <= weight < inf:
            return f"{name} must be at least 0 and finite; given {weight}"
    return None


def inert_problem(settings: Any, names: tuple[str, ...], reason: str) -> str | None:
    """The first field that was changed although it has no effect.

    A field that repeats its default cannot be told from one left out.

    Args:
        settings: A dataclass.
        names: Its fields that have no effect.
        reason: Why, at the end of the line.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    for name in names:
        if getattr(settings, name) != defaults[name]:
            return f"{name} {getattr(settings, name)} does nothing {reason}"
    return None
