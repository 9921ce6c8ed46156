"""Fields of settings dataclasses: docstrings, allowed values and the check."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from hgrpo_errors import HgrpoError
from hgrpo_fields import OneOf, Range, check, field_problem, fields_of, inert_problem

WORDS: dict[str, int] = {"one": 1}


@dataclass(frozen=True)
class Base:
    share: Annotated[float, Range(least=0, most=1)] = 0.5
    """A share,
    over two lines."""
    count: Annotated[int, Range(least=1)] = 1


@dataclass(frozen=True)
class Settings(Base):
    share: Annotated[float, Range(least=0, below=1)] = 0.25
    rate: Annotated[float | None, Range(above=0)] = None
    """A rate."""
    limit: Annotated[float, Range(above=0, infinite=True, unit="s")] = math.inf
    sizes: Annotated[tuple[int, ...], Range(least=1)] = (2, 3)
    way: Literal["up", "down"] = "up"
    word: Annotated[str, OneOf(WORDS.keys)] = "one"
    free: float = 0.0


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"share": 1.0}, "share must be at least 0 and below 1; given 1.0"),
        ({"share": math.nan}, "share must be at least 0 and below 1; given nan"),
        ({"count": 0}, "count must be at least 1; given 0"),
        ({"count": 1.5}, "count must be a whole number; given 1.5"),
        ({"count": True}, "count must be a whole number; given True"),
        ({"rate": 0.0}, "rate must be above 0; given 0.0"),
        ({"rate": math.inf}, "rate must be above 0 and finite; given inf"),
        ({"rate": "fast"}, "rate must be a number; given 'fast'"),
        ({"limit": 0.0}, "limit must be above 0 s; given 0.0"),
        ({"sizes": (2, 0)}, "sizes must be at least 1; given 0"),
        ({"way": "dwn"}, "unknown way 'dwn'; did you mean 'down'? allowed: up, down"),
        ({"word": "two"}, "unknown word 'two'; allowed: one"),
    ],
)
def test_a_value_that_is_not_allowed_is_one_line(given: dict[str, Any], line: str) -> None:
    settings = Settings(**given)
    assert field_problem(settings) == line
    with pytest.raises(HgrpoError) as caught:
        check(settings)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    "given", [{}, {"share": 0}, {"rate": 1e-9}, {"rate": None}, {"limit": 1.0}, {"sizes": ()}, {"free": math.nan}]
)
def test_a_value_that_is_allowed_has_no_line(given: dict[str, Any]) -> None:
    assert field_problem(Settings(**given)) is None


def test_choices_of_a_catalogue_are_read_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORDS, "two", 2)
    assert field_problem(Settings(word="two")) is None


def test_a_changed_field_without_effect_is_one_line() -> None:
    assert (
        inert_problem(Settings(rate=2.0), ("count", "rate"), "without a limit")
        == "rate 2.0 does nothing without a limit"
    )
    assert inert_problem(Settings(rate=2.0, count=1), ("count", "way"), "without a limit") is None


def test_fields_have_docstring_type_default_and_what_is_allowed() -> None:
    fields = {field.name: field for field in fields_of(Settings, Settings(count=4))}
    assert fields["share"].text == "A share, over two lines."
    assert fields["rate"].text == "A rate."
    assert fields["free"].text == ""
    assert (fields["count"].default, fields_of(Settings)[1].default) == (4, 1)
    assert (fields["rate"].kind, fields["rate"].optional, fields["sizes"].several) == (float, True, True)
    allowed = {name: field.allowed for name, field in fields.items()}
    assert allowed["count"] == "a whole number, at least 1"
    assert (allowed["share"], allowed["way"], allowed["free"]) == ("at least 0 and below 1", "up, down", "")
