"""Options of an adapted Gymnasium environment: the adapter's own, and what goes to the environment's constructor."""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hgrpo_errors import HgrpoError

TRUNCATION = ("refuse", "terminate", "ignore")
SNAPSHOTS = ("auto", "none")


class EnvironmentRefusedError(HgrpoError):
    """Raised for an environment that cannot be adapted; one line that says what was found and what is allowed."""


@dataclass(frozen=True)
class AdapterOptions:
    """What the adapter itself has to be told where an environment does not say it."""

    max_episode_steps: int | None = None
    """Time limit [control steps]; None is the environment's own."""
    control_hz: float | None = None
    """Control steps per second; None is 1 / dt of the environment, or metadata["render_fps"]."""
    truncation: str = "refuse"
    """What an environment's own truncation means: refuse (an error), terminate (the episode is over for good, nothing
    is bootstrapped) or ignore (the episode goes on)."""
    action_bound: float | None = None
    """Bound put on actions that the environment leaves unbounded."""
    snapshot_bytes: int | None = None
    """Room for the pickled part of a snapshot; None is twice what was measured."""
    snapshots: str = "auto"
    """auto, or none: one living instance per row as if the environment had no snapshots, for PPO alone."""

    def __post_init__(self) -> None:
        for name in ("max_episode_steps", "control_hz", "action_bound", "snapshot_bytes"):
            value = getattr(self, name)
            whole = name in ("max_episode_steps", "snapshot_bytes")
            kinds = int if whole else (int, float)
            number = isinstance(value, kinds) and not isinstance(value, bool)
            if value is not None and not (number and math.isfinite(value) and value > 0):
                raise EnvironmentRefusedError(
                    f"{name} must be a positive {'whole ' if whole else ''}number; given {value!r}"
                )
        for name, allowed in (("truncation", TRUNCATION), ("snapshots", SNAPSHOTS)):
            if getattr(self, name) not in allowed:
                raise EnvironmentRefusedError(
                    f"{name} must be one of {', '.join(allowed)}; given {getattr(self, name)!r}"
                )


def split_options(given: Mapping[str, Any]) -> tuple[AdapterOptions, dict[str, Any]]:
    """The adapter's own options and the rest, which the environment's constructor gets; words become Python literals
    where they read as such (0.5, false, (1, 2)), and stay words elsewhere.

    Raises EnvironmentRefusedError for a value that an own option does not take.
    """
    own = {field.name for field in dataclasses.fields(AdapterOptions)}
    values = {name: _literal(value) for name, value in given.items()}
    options = AdapterOptions(**{name: value for name, value in values.items() if name in own})
    return options, {name: value for name, value in values.items() if name not in own}


def _literal(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    words = {"true": True, "false": False}
    if value.lower() in words:
        return words[value.lower()]
    if value == "none":
        return value  # the word of `snapshots`; Python's None is spelled None
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
