"""Task options on the command line: words such as mass=0.3."""

from __future__ import annotations

from typing import Any

import tyro

from hgrpo_errors import HgrpoError


def read_words(words: list[str]) -> dict[str, str]:
    """Options from words NAME=VALUE; raises ValueError for a word of another form and for a name given twice."""
    options: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise HgrpoError(f"task options are words NAME=VALUE, such as mass=0.3; given {word!r}")
        if name in options:
            raise HgrpoError(f"task option {name} is given twice: {options[name]} and {value}")
        options[name] = value
    return options


def write_words(options: dict[str, Any]) -> list[str]:
    """The words that `read_words` reads back."""
    return [f"{name}={value}" for name, value in options.items()]


TASK_OPTIONS = tyro.constructors.PrimitiveConstructorSpec(
    nargs="*",
    metavar="[NAME=VALUE ...]",
    instance_from_str=read_words,
    is_instance=lambda value: isinstance(value, dict),
    str_from_instance=write_words,
)
"""How the command line reads the options of a task."""
