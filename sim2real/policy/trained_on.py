"""Task options and airframe of a training run, as an exported file contains them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from hgrpo_errors import HgrpoError, printable

KEY = "trained_on"
"""Key of the metadata; absent from files of earlier releases."""
UNKNOWN = "unknown, not recorded in the file"


class TrainedOn(NamedTuple):
    """The options and the airframe of a training run."""

    task_options: dict[str, Any]
    """Options of the task by name; empty for the task without options."""
    airframe: dict[str, Any]
    """Numbers of the drone preset by name; empty for a robot that is no preset."""

    def to_json(self) -> str:
        """JSON; `from_json` reads it."""
        return json.dumps(self._asdict(), allow_nan=False)


def from_json(text: str | None) -> TrainedOn | None:
    """The record in a file's metadata; None without one, HgrpoError for another text."""
    if text is None:
        return None
    try:
        return from_fields(json.loads(text))
    except ValueError as error:
        raise HgrpoError(f"has an unreadable {KEY}: {error}") from error


def from_fields(fields: object) -> TrainedOn | None:
    """The record from its fields, as a server sends them.

    None for None, HgrpoError for other fields.
    """
    if fields is None:
        return None
    parts = [fields.get(name) for name in TrainedOn._fields] if isinstance(fields, dict) else []
    if len(parts) != len(TrainedOn._fields) or not all(isinstance(part, dict) for part in parts):
        raise HgrpoError(f"expected {' and '.join(TrainedOn._fields)} by name; given {str(fields)[:80]!r}")
    return TrainedOn(*({str(name): value for name, value in part.items()} for part in parts if part is not None))


def options_in_words(trained: TrainedOn | None) -> str:
    """Options as NAME=VALUE in one line; `none` without any."""
    return UNKNOWN if trained is None else in_words(trained.task_options) or "none"


def airframe_in_words(trained: TrainedOn | None) -> str:
    """Numbers of the airframe as NAME=VALUE in one line; `no drone preset` without any."""
    return UNKNOWN if trained is None else in_words(trained.airframe) or "no drone preset"


def in_words(values: Mapping[str, Any]) -> str:
    """Values as NAME=VALUE in one printable line."""
    return printable(" ".join(f"{name}={_value_text(value)}" for name, value in values.items()))


def _value_text(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}={_value_text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_value_text, value)) + "]"
    if isinstance(value, str) and value.startswith('{"name": '):  # a vehicle file's numbers, which the airframe shows
        return str(json.loads(value)["name"])
    return f"{value:.6g}" if isinstance(value, float) else str(value)
