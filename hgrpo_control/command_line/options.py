"""The options that the fields of a settings dataclass become on the command line."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from hgrpo_control.config.argument import Argument
from hgrpo_control.config.named_values import write_words

REQUIRED = dataclasses.MISSING


class Option(NamedTuple):
    """One field of a settings dataclass."""

    name: str
    """Name of the field."""
    kind: Any
    """Type of a value: bool, int, float, str, Path or a Literal."""
    several: bool
    """Whether the field is a tuple of such values."""
    optional: bool
    """Whether the field may be None."""
    default: Any
    """Default of the field; REQUIRED if it has none."""
    text: str
    """Docstring of the field."""
    argument: Argument

    @property
    def flag(self) -> str:
        """Such as --num-envs; empty for a positional argument."""
        return "" if self.argument.positional else self.argument.flag or f"--{self.name.replace('_', '-')}"

    @property
    def metavar(self) -> str:
        """Name of a value in usage lines and help."""
        if self.argument.metavar:
            return self.argument.metavar
        words = get_args(self.kind) if get_origin(self.kind) is Literal else (self.kind.__name__.upper(),)
        return "|".join((*words, "None")) if self.optional and not self.several else "|".join(words)

    @property
    def help(self) -> str:
        """Docstring of the field and its default."""
        default = self.default
        if default is REQUIRED:
            return self.text
        if isinstance(default, dict):
            default = tuple(write_words(default))
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
        return f"{self.text} (default: {shown})".lstrip() if shown else self.text


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
    hints, texts = get_type_hints(kind, include_extras=True), _field_texts(kind)
    for field in dataclasses.fields(kind):
        value = default_value(field) if default is None else getattr(default, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            nested += groups_of(type(value), value, field.name.replace("_", " "))
            continue
        option = _option(field.name, hints[field.name], value, texts.get(field.name, ""))
        if not option.argument.hidden:
            own.options.append(option)
    return [group for group in (own, *nested) if group.options]


def flags_of(groups: Sequence[Group]) -> list[str]:
    """Every flag of a command."""
    flags = ["--help"]
    for option in (option for group in groups for option in group.options):
        flags += [option.flag, f"--no-{option.flag[2:]}"] if option.kind is bool else [option.flag]
    return flags


def default_value(field: dataclasses.Field[Any]) -> Any:
    """Default of a field; REQUIRED if it has none."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _option(name: str, hint: Any, default: Any, text: str) -> Option:
    argument = Argument()
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        argument = next((note for note in notes if isinstance(note, Argument)), argument)
    optional = False
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
        optional = True
    several = get_origin(hint) is tuple
    return Option(name, get_args(hint)[0] if several else hint, several, optional, default, text, argument)


@cache
def _field_texts(kind: type) -> dict[str, str]:
    """Docstring of every field of a dataclass, those of its bases included."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        for field, text in pairwise(definition.body):  # type: ignore[attr-defined]
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    texts[name] = " ".join(words.split())
    return texts
