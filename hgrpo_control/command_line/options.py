"""The options that the fields of a settings dataclass become on the command line."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

from hgrpo_control.config.argument import Argument
from hgrpo_control.config.named_values import write_named_values
from hgrpo_fields import REQUIRED, Field, fields_of


class Option(NamedTuple):
    """A field and its place on the command line."""

    field: Field
    argument: Argument

    @property
    def flag(self) -> str:
        """Such as --num-envs; empty for a positional argument."""
        return "" if self.argument.positional else self.argument.flag or f"--{self.field.name.replace('_', '-')}"

    @property
    def metavar(self) -> str:
        """Name of a value in usage lines and help."""
        field = self.field
        words = (self.argument.metavar,) if self.argument.metavar else field.choices or (field.kind.__name__.upper(),)
        return "|".join((*words, "None") if field.optional and not field.several else words)

    @property
    def help(self) -> str:
        """Docstring of the field, its range and its default."""
        facts = [] if self.field.range is None else [f"range: {self.field.range}"]
        default = shown(self.field.default)
        facts += [f"default: {default}"] if default else []
        return f"{self.field.text} ({'; '.join(facts)})".lstrip() if facts else self.field.text


class Group(NamedTuple):
    """The options of one dataclass, without those of the dataclasses in it."""

    title: str
    description: str
    options: list[Option]


def groups_of(kind: type, default: Any = None, title: str = "options") -> list[Group]:
    """Options of a dataclass, then those of every dataclass in it.

    Args:
        kind: The dataclass.
        default: Instance whose values are the defaults; None takes the defaults of the fields.
        title: Title of the first group; the others are named after their fields.
    """
    own, nested = Group(title, inspect.cleandoc(kind.__doc__ or ""), []), []
    for field in fields_of(kind, default):
        if is_settings(field.default):
            nested += groups_of(type(field.default), field.default, field.name.replace("_", " "))
            continue
        argument = next((note for note in field.notes if isinstance(note, Argument)), Argument())
        if not argument.hidden:
            own.options.append(Option(field, argument))
    return [group for group in (own, *nested) if group.options]


def flags_of(groups: Sequence[Group]) -> list[str]:
    """Every flag of a command."""
    flags = ["--help"]
    for option in (option for group in groups for option in group.options):
        flags += [option.flag, f"--no-{option.flag[2:]}"] if option.field.kind is bool else [option.flag]
    return flags


def is_settings(value: Any) -> bool:
    """Whether a value is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def shown(value: Any) -> str:
    """A value as it is written on the command line; empty where there is none."""
    if value is REQUIRED:
        return ""
    if isinstance(value, dict):
        return " ".join(write_named_values(value))
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
