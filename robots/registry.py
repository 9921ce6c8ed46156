"""Task names and the simulators behind them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from robots.gymnasium_spec import register_environment
from robots.simulator import Simulator

_FACTORIES: dict[str, Callable[..., Simulator]] = {}


class UnknownTaskError(ValueError):
    """Raised for a task name that is not registered; says which names are and which is nearest."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown task {name!r}; {nearest(name, names())}")


def register(name: str, factory: Callable[..., Simulator]) -> None:
    """Make a task available under a name and to Gymnasium; `factory(**options)` builds its simulator.

    Raises ValueError if the name is taken or cannot be part of a Gymnasium id.
    """
    if name in _FACTORIES:
        raise ValueError(f"task {name!r} is registered already")
    register_environment(name)
    _FACTORIES[name] = factory


def names() -> tuple[str, ...]:
    """Every registered task name, sorted."""
    return tuple(sorted(_FACTORIES))


def make(name: str, **options: Any) -> Simulator:
    """Build the simulator of a task; `options` go to its constructor.

    Raises UnknownTaskError for a name that is not registered.
    """
    if name not in _FACTORIES:
        raise UnknownTaskError(name)
    return _FACTORIES[name](**options)


def nearest(given: str, allowed: tuple[str, ...]) -> str:
    """Second half of an error message: the closest allowed name, or all of them where none is close."""
    close = difflib.get_close_matches(given, allowed, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(allowed)}"
