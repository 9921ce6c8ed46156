"""Options of an adapted Gymnasium environment: those of the adapter and those of its constructor."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from hgrpo_errors import HgrpoError
from hgrpo_fields import Range, check


class EnvironmentRefusedError(HgrpoError):
    """An environment that cannot be adapted."""


@dataclass(frozen=True)
class AdapterOptions:
    """Options of the adapter, for what an environment does not define itself."""

    max_episode_steps: Annotated[int | None, Range(least=1)] = None
    """Time limit in control steps; None is the environment's own limit."""
    control_hz: Annotated[float | None, Range(above=0)] = None
    """Control rate [Hz]; None is 1 / dt of the environment, or metadata["render_fps"]."""
    truncation: Literal["refuse", "terminate", "ignore"] = "refuse"
    """Meaning of truncation by the environment: refuse (an error), terminate or ignore (the episode continues)."""
    action_bound: Annotated[float | None, Range(above=0)] = None
    """Bound of action entries that the environment leaves unbounded."""
    snapshot_bytes: Annotated[int | None, Range(least=1)] = None
    """Bytes for the pickled part of a snapshot; None is twice the size that was measured."""
    snapshots: Literal["auto", "none"] = "auto"
    """Way to save states: auto tries every way, none keeps one environment per row, for PPO only."""

    def __post_init__(self) -> None:
        check(self, EnvironmentRefusedError)


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
