"""Arguments NAME=VALUE on the command line: task options such as mass=0.3, and curricula."""

from __future__ import annotations

from functools import partial
from typing import Any

from hgrpo_control.config.argument import Argument
from hgrpo_errors import HgrpoError

_FORM = "NAME=VALUE, such as mass=0.3"


def read_named_values(args: list[str], what: str = "task option", form: str = _FORM) -> dict[str, str]:
    """Values by name from arguments NAME=VALUE.

    Args:
        args: The arguments.
        what: Kind of setting, for the error line.
        form: Form of an argument, for the error line.

    Raises:
        HgrpoError: An argument of another form, or a name that is given twice.
    """
    values: dict[str, str] = {}
    for arg in args:
        name, equals, value = arg.partition("=")
        if not (name and equals):
            raise HgrpoError(f"a {what} is written {form}; given {arg!r}")
        if name in values:
            raise HgrpoError(f"{what} {name} is given twice: {values[name]} and {value}")
        values[name] = value
    return values


def write_named_values(values: dict[str, Any]) -> list[str]:
    """The arguments from which `read_named_values` reads these values."""
    return [f"{name}={value}" for name, value in values.items()]


def named_values(what: str, form: str, metavar: str) -> Argument:
    """Annotation of a dictionary that is given as arguments NAME=VALUE; see `read_named_values`."""
    return Argument(metavar, read=partial(read_named_values, what=what, form=form))


TASK_OPTIONS = named_values("task option", _FORM, "NAME=VALUE")
"""Annotation of the options of a task."""
