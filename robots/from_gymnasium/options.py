"""Options of an adapted Gymnasium environment: those of the adapter and those of its constructor."""

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
    """An environment that cannot be adapted; the message has what was found and what is allowed."""


@dataclass(frozen=True)
class AdapterOptions:
    """Options of the adapter, for what an environment does not define itself."""

    max_episode_steps: int | None = None
    """Time limit in control steps, at least 1; None is the environment's own limit."""
    control_hz: float | None = None
    """Control rate [Hz], above 0; None is 1 / dt of the environment, or metadata["render_fps"]."""
    truncation: str = "refuse"
    """Meaning of truncation by the environment: refuse (an error), terminate or ignore (the episode continues)."""
    action_bound: float | None = None
    """Bound of action entries that the environment leaves unbounded, above 0."""
    snapshot_bytes: int | None = None
    """Bytes for the pickled part of a snapshot, at least 1; None is twice the size that was measured."""
    snapshots: str = "auto"
    """auto, or none: one environment per row without snapshots, for PPO only."""

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
    """Split options into those of the adapter and those of the environment's constructor.

    Words that are Python literals, such as 0.5, false or (1, 2), are converted; other words stay words.

    Raises:
        EnvironmentRefusedError: The value of an adapter's option is not allowed.
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
        return value  # a value of `snapshots`; Python's None is written None
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
