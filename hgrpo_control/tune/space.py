"""Search spaces: which settings of a config are searched, and between which values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_origin

from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.config_files.formats import read_file
from hgrpo_errors import HgrpoError, nearest
from hgrpo_fields import Field, fields_of

if TYPE_CHECKING:
    import optuna

FORM = "NAME=LOW:HIGH, NAME=LOW:HIGH:log, NAME=A,B,C or a TOML file of them"
SPANS = {
    "learning_rate": "3e-4:1e-2:log",
    "num_envs": "16,32,64,128,256",
    "rollout_steps": "32,64,128",
    "update_epochs": "2:10",
    "num_minibatches": "4,8,16",
    "gamma": "0.97:0.997",
    "gae_lambda": "0.9:1",
    "num_samples": "2,4,8",
    "clip_coef": "0.1:0.3",
    "init_sigma": "0.2:1:log",
}
"""Spans that are searched without --search; those that an algorithm does not have are left out."""
_NOT_SEARCHED = ("seed", "total_steps", "task", "device", "roots", "checkpoint_every", "reference", "reward_transform")


class SearchError(HgrpoError):
    """Raised for a span that cannot be searched; names the setting."""


@dataclass(frozen=True)
class Span:
    """Values of one setting: a range of numbers, or choices."""

    path: str
    """The setting with its tables, such as "learning.learning_rate"."""
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    """Whether the numbers are whole."""

    @property
    def name(self) -> str:
        """The setting without its tables."""
        return self.path.rpartition(".")[2]

    def __contains__(self, value: Any) -> bool:
        return value in self.choices if self.choices else self.low <= value <= self.high

    def suggest(self, trial: optuna.Trial) -> Any:
        """A value for a trial."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def read_space(config: Config, words: Sequence[str]) -> tuple[Config, list[Span]]:
    """The search space of a config.

    Args:
        config: Settings that hold for what is not searched.
        words: Spans as in `FORM`. They replace those of `SPANS`, or add to them; a single value fixes a setting.

    Returns:
        The config with the fixed settings, and the spans.

    Raises:
        SearchError: A setting does not exist or cannot be searched, or a value is not allowed.
    """
    fields = _searchable(config)
    spans = {name: _read(name, word, fields) for name, word in _given(words).items()}
    config = with_values(config, {span: span.choices[0] for span in spans.values() if len(span.choices) == 1})
    for name, word in SPANS.items():
        if name in fields and name not in spans:
            span = _read(name, word, fields)
            if _has_effect(config, span):
                spans[name] = _widened(span, own_value(config, span))
    searched = [span for span in spans.values() if len(span.choices) != 1]
    if not searched:
        raise SearchError("--search fixes every setting; give one of them a span")
    return config, searched


def _given(words: Sequence[str]) -> dict[str, str | list[Any]]:
    """Span of each setting as it is written, from words and from TOML files."""
    given: dict[str, str | list[Any]] = {}
    for word in words:
        name, equals, span = word.partition("=")
        if not equals and word.endswith(".toml"):
            table = read_file(Path(word))
            given |= {key: value if isinstance(value, list) else str(value) for key, value in table.items()}
        elif equals and span:
            given[name] = span
        else:
            raise SearchError(f"--search is written {FORM}; given {word!r}")
    return given


def _widened(span: Span, own: Any) -> Span:
    """The span, as wide as to contain the value that the config has."""
    if own in span or own is None:
        return span
    if span.choices:
        return dataclasses.replace(span, choices=(*span.choices, own))
    return dataclasses.replace(span, low=min(span.low, own), high=max(span.high, own))


def with_values(config: Config, values: Mapping[Span, Any]) -> Config:
    """The config with a value for each span; raises ConfigError if they do not fit together."""
    table: dict[str, Any] = {}
    for span, value in values.items():
        group, _, name = span.path.rpartition(".")
        (table.setdefault(group, {}) if group else table)[name] = value
    return config.with_table(table)


def own_value(config: Config, span: Span) -> Any:
    """The value that a config has."""
    value: Any = config
    for name in span.path.split("."):
        value = getattr(value, name)
    return value


def _searchable(config: Config) -> dict[str, tuple[str, Field]]:
    """Path and field of every setting that may be searched, by name."""
    found: dict[str, tuple[str, Field]] = {}
    for group, settings in (
        ("", config),
        *((name, getattr(config, name)) for name in ("algorithm", "network", "learning")),
    ):
        for field in fields_of(type(settings), settings):
            plain = field.kind in (int, float, bool) or bool(field.choices)
            if plain and not field.several and field.name not in _NOT_SEARCHED:
                found[field.name] = (f"{group}.{field.name}".lstrip("."), field)
    return found


def _read(name: str, word: str | list[Any], fields: Mapping[str, tuple[str, Field]]) -> Span:
    if name not in fields:
        raise SearchError(f"--search {name}: no such setting to search; {nearest(name, tuple(fields))}")
    path, field = fields[name]
    numbers = field.kind in (int, float)
    parts = word.split(":") if isinstance(word, str) and numbers and ":" in word else []
    if not parts:
        choices = tuple(_value(name, each, field) for each in (word.split(",") if isinstance(word, str) else word))
        return Span(path, choices)
    log = parts[2:] == ["log"]
    if len(parts) != 2 + log:
        raise SearchError(f"--search is written {FORM}; given {name}={word}")
    low, high = (_value(name, part, field) for part in parts[:2])
    if not low < high or (log and low <= 0):
        raise SearchError(
            f"--search {name}: LOW must be below HIGH{', and above 0 with log' if log else ''}; given {word}"
        )
    return Span(path, (), low, high, log, field.kind is int)


def _value(name: str, word: Any, field: Field) -> Any:
    """One value, checked against the range and the choices that the setting declares."""
    try:
        value = _convert(word, field)
    except (ValueError, KeyError):
        expected = field.kind.__name__ if get_origin(field.kind) is not Literal else "word"
        raise SearchError(f"--search {name}: {word!r} is no value of this setting ({expected})") from None
    problem = field.problem(value)
    if problem is not None:
        raise SearchError(f"--search {name}: {problem}")
    return value


def _convert(word: Any, field: Field) -> Any:
    if field.optional and word == "None":
        return None
    if field.kind is bool:
        return {"true": True, "false": False}[str(word).lower()]
    return field.kind(word) if field.kind in (int, float) else str(word)


def _has_effect(config: Config, span: Span) -> bool:
    """Whether a config takes another value of a setting, instead of refusing it as one that does nothing."""
    probe = dataclasses.replace(config, total_steps=10**12)
    for value in span.choices or (span.low, span.high):
        if value != own_value(config, span):
            try:
                with_values(probe, {span: value})
            except ConfigError:
                continue
            return True
    return False
