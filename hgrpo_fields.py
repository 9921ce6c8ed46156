"""Fields of settings dataclasses: docstrings, allowed values and error lines; imports only `hgrpo_errors`.

A field declares what it allows in its type: `Literal["a", "b"]`, `Annotated[float, Range(above=0)]`, or
`Annotated[str, OneOf(NAMES)]`.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import numbers
import textwrap
import types
from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from hgrpo_errors import HgrpoError, unknown

REQUIRED = dataclasses.MISSING


@dataclasses.dataclass(frozen=True)
class Range:
    """Allowed numbers of a field, or of every entry of a tuple; finite ones unless `infinite`."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    infinite: bool = False
    """Whether inf is allowed."""
    unit: str = ""

    def __contains__(self, value: float) -> bool:
        finite = math.isfinite(value) or (self.infinite and value == math.inf)
        within = self.least <= value <= self.most and self.above <= value <= self.below
        return finite and within and value != self.above and (value != self.below or self.below == math.inf)

    def __str__(self) -> str:
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"from {self.least:g} to {self.most:g} {self.unit}".rstrip()
        bounds = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        texts = (f"{name} {bound:g} {self.unit}".rstrip() for name, bound in bounds.items() if math.isfinite(bound))
        return " and ".join(texts)


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Allowed words of a field that another module lists, such as the keys of a catalogue."""

    words: Callable[[], Iterable[str]]
    others: Callable[[str], bool] | None = None
    """Whether another word is allowed too."""
    named: str = ""
    """What these others are, for error lines and lists."""


class Field(NamedTuple):
    """One field of a settings dataclass."""

    name: str
    kind: Any
    """Type of a value: bool, int, float, str, Path or a Literal."""
    several: bool
    """Whether the field is a tuple of such values."""
    optional: bool
    """Whether the field may be None."""
    default: Any
    """Default of the field; REQUIRED if it has none."""
    owner: type
    """The dataclass."""
    notes: tuple[Any, ...] = ()
    """Annotations of the type."""

    @property
    def text(self) -> str:
        """Docstring of the field, from the source of its dataclass; empty without one."""
        return _texts(self.owner).get(self.name, "")

    @property
    def range(self) -> Range | None:
        """Allowed numbers; None where the field declares none."""
        return next((note for note in self.notes if isinstance(note, Range)), None)

    @property
    def choices(self) -> tuple[str, ...]:
        """Allowed words; empty where the field declares none."""
        if get_origin(self.kind) is Literal:
            return get_args(self.kind)
        return () if self._one_of is None else tuple(self._one_of.words())

    @property
    def _one_of(self) -> OneOf | None:
        return next((note for note in self.notes if isinstance(note, OneOf)), None)

    def _is_other(self, value: Any) -> bool:
        """Whether a word is allowed that the list of words does not have."""
        others = None if self._one_of is None else self._one_of.others
        return others is not None and isinstance(value, str) and others(value)

    def problem(self, value: Any) -> str | None:
        """Error line for a value that the field does not allow; None for any other."""
        if value is None and self.optional:
            return None
        for each in value if self.several else (value,):
            if self.choices and each not in self.choices and not self._is_other(each):
                return unknown(self.name, each, self.choices, self.allowed)
            if self.range is not None and not self._is_number(each):
                return f"{self.name} must be a {'whole number' if self.kind is int else 'number'}; given {each!r}"
            if self.range is not None and each not in self.range:
                finite = " and finite" if each == math.inf and each <= min(self.range.most, self.range.below) else ""
                return f"{self.name} must be {self.range}{finite}; given {each}"
        return None

    @property
    def allowed(self) -> str:
        """Allowed numbers, or words separated by commas; empty where the field declares none."""
        if self.range is None:
            more = self._one_of.named if self._one_of is not None else ""
            return ", ".join((*self.choices, more) if more else self.choices)
        return f"{'a whole number, ' if self.kind is int else ''}{self.range}"

    def _is_number(self, value: Any) -> bool:
        kind = numbers.Integral if self.kind is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool)


def fields_of(kind: type, default: Any = None) -> list[Field]:
    """Fields of a dataclass.

    Args:
        kind: The dataclass.
        default: Instance whose values are the defaults; None takes the defaults of the fields.
    """
    if default is None:
        return list(_declared(kind))
    return [field._replace(default=getattr(default, field.name)) for field in _declared(kind)]


def field_problem(settings: Any) -> str | None:
    """Error line for the first value that its field does not allow; else None."""
    kind: type = type(settings)
    for field in _declared(kind):
        problem = field.problem(getattr(settings, field.name))
        if problem is not None:
            return problem
    return None


def inert_problem(settings: Any, names: tuple[str, ...], reason: str) -> str | None:
    """Error line for the first changed field that has no effect; else None.

    A field with its default value counts as left out.

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


def check(settings: Any, error: type[HgrpoError] = HgrpoError) -> None:
    """Raise `error` for the first value that its field does not allow."""
    problem = field_problem(settings)
    if problem is not None:
        raise error(problem)


@cache
def _declared(kind: type) -> tuple[Field, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_field(kind, field, hints[field.name]) for field in dataclasses.fields(kind))


def _field(owner: type, field: dataclasses.Field[Any], hint: Any) -> Field:
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    notes: list[Any] = []
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
    optional = False
    if get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
        hint, optional = next(part for part in get_args(hint) if part is not type(None)), True
    several = get_origin(hint) is tuple
    return Field(field.name, get_args(hint)[0] if several else hint, several, optional, default, owner, tuple(notes))


@cache
def _texts(kind: type) -> dict[str, str]:
    """Docstring of every field of a dataclass, those of its bases included."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        for field, text in pairwise(definition.body):  # type: ignore[attr-defined]
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    texts[name] = " ".join(words.split())
    return texts
