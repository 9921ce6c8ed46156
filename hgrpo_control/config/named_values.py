"""Words NAME=VALUE on the command line: task options such as mass=0.3, and curricula."""

from __future__ import annotations

from functools import partial
from typing import Any

from hgrpo_control.config.argument import Argument
from hgrpo_errors import HgrpoError

_FORM = "NAME=VALUE, such as mass=0.3"


def read_words(words: list[str], what: str = "task option", form: str = _FORM) -> dict[str, str]:
    """Values by name from words NAME=VALUE.

    Args:
        words: What was typed.
        what: What a word sets, for the error line.
        form: How a word is written, for the error line.

    Raises HgrpoError for a word of another form and for a name given twice.
    """
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise HgrpoError(f"a {what} is written {form}; given {word!r}")
        if name in values:
            raise HgrpoError(f"{what} {name} is given twice: {values[name]} and {value}")
        values[name] = value
    return values


def write_words(values: dict[str, Any]) -> list[str]:
    """The words that `read_words` reads back."""
    return [f"{name}={value}" for name, value in values.items()]


def named_values(what: str, form: str, metavar: str) -> Argument:
    """How the command line reads words NAME=VALUE into a dictionary; the arguments are those of `read_words`."""
    return Argument(metavar, read=partial(read_words, what=what, form=form))


TASK_OPTIONS = named_values("task option", _FORM, "NAME=VALUE")
"""How the command line reads the options of a task."""
