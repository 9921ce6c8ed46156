"""What a policy was trained on: the options of its task and the numbers of its airframe, as an export carries them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from hgrpo_errors import HgrpoError, printable

KEY = "trained_on"
"""Of the metadata that hold it, as JSON; absent from files that were written before it was recorded."""
UNKNOWN = "unknown, the file does not say"


class TrainedOn(NamedTuple):
    """The options and the airframe of a training run."""

    task_options: dict[str, Any]
    """By name, as the run was given them; empty where it flew the task as it is."""
    airframe: dict[str, Any]
    """Numbers of the drone preset by name; empty for a robot that is no preset."""

    def to_json(self) -> str:
        """JSON that `from_json` reads back."""
        return json.dumps(self._asdict(), allow_nan=False)


def from_json(text: str | None) -> TrainedOn | None:
    """What a file's metadata hold under the key; None where they hold nothing, HgrpoError for another text."""
    if text is None:
        return None
    try:
        return from_fields(json.loads(text))
    except ValueError as error:
        raise HgrpoError(f"has an unreadable {KEY}: {error}") from error


def from_fields(fields: object) -> TrainedOn | None:
    """The same from its parts, as a server sends them; None for None, HgrpoError for anything else."""
    if fields is None:
        return None
    parts = [fields.get(name) for name in TrainedOn._fields] if isinstance(fields, dict) else []
    if len(parts) != len(TrainedOn._fields) or not all(isinstance(part, dict) for part in parts):
        raise HgrpoError(f"expected {' and '.join(TrainedOn._fields)} by name; given {str(fields)[:80]!r}")
    return TrainedOn(*({str(name): value for name, value in part.items()} for part in parts if part is not None))


def options_in_words(trained: TrainedOn | None) -> str:
    """NAME=VALUE of every option in one line, `none`, or that they are unknown."""
    return UNKNOWN if trained is None else in_words(trained.task_options) or "none"


def airframe_in_words(trained: TrainedOn | None) -> str:
    """NAME=VALUE of every number in one line, `no drone preset`, or that they are unknown."""
    return UNKNOWN if trained is None else in_words(trained.airframe) or "no drone preset"


def in_words(values: Mapping[str, Any]) -> str:
    """NAME=VALUE by spaces, in one printable line."""
    return printable(" ".join(f"{name}={_word(value)}" for name, value in values.items()))


def _word(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}={_word(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_word, value)) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
