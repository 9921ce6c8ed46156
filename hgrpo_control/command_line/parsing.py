"""Command lines for settings dataclasses, parsed by argparse; every mistake raises UsageError with one line."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar

from hgrpo_control.command_line.options import Group, Option, flags_of, groups_of, is_settings
from hgrpo_errors import HgrpoError, closest, unknown
from hgrpo_fields import REQUIRED, check, fields_of

Settings = TypeVar("Settings")

_NUMBERS = {int: "a whole number", float: "a number"}


class UsageError(HgrpoError):
    """Raised for arguments that a command does not take."""


def parse(kind: type[Settings], args: Sequence[str], program: str, default: Settings | None = None) -> Settings:
    """Settings from the arguments of a command; `--help` prints the options and raises SystemExit.

    Args:
        kind: Dataclass of the settings. Dataclasses in it become groups of options.
        args: The arguments behind the command.
        program: The command, such as "hgrpo check".
        default: Settings that hold for what is not given; None takes the defaults of the fields.

    Raises UsageError, and what the dataclass raises for its values.
    """
    groups = groups_of(kind, default)
    parser = make_parser(groups, program, texts=not {"-h", "--help"}.isdisjoint(args))
    for flag in (arg.partition("=")[0] for arg in args if arg.startswith("--")):
        if flag not in (flags := flags_of(groups)):
            close = closest(flag, flags)
            parser.error(f"unknown option {flag}" + (f"; did you mean {close}?" if close else ""))
    # Before Python 3.14 argparse takes -1e-3 for an option. With a blank before it, it is a value.
    given = vars(parser.parse_args([f" {arg}" if _is_negative_number(arg) else arg for arg in args]))
    return _instantiate(kind, given, default)


def make_parser(groups: Sequence[Group], program: str, texts: bool = True) -> argparse.ArgumentParser:
    """The parser of a command; options that are not given are absent from what it parses.

    Args:
        groups: Options of the command.
        program: The command, such as "hgrpo check".
        texts: Whether the options get their help texts, which are read from the source.
    """
    required = [option for group in groups for option in group.options if option.field.default is REQUIRED]
    parser = _Parser(
        program,
        " ".join((program, *map(_usage, required), "[options]")),
        groups[0].description,
        formatter_class=partial(argparse.HelpFormatter, max_help_position=32),
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for number, group in enumerate(groups):
        section = parser if number == 0 else parser.add_argument_group(group.title, group.description)
        for option in group.options:
            section.add_argument(option.flag or option.field.name, **_how(option, texts))
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


class _ReadAll(argparse.Action):
    """Makes one value from all arguments behind a flag."""

    def __init__(self, *args: Any, read: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.read = read

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        try:
            setattr(namespace, self.dest, self.read(values))
        except HgrpoError as error:
            raise argparse.ArgumentError(self, str(error)) from error


def _usage(option: Option) -> str:
    value = f"{option.metavar} ..." if option.field.several else option.metavar
    return f"{option.flag} {value}".strip()


def _how(option: Option, texts: bool) -> dict[str, Any]:
    """Arguments of argparse for an option."""
    how: dict[str, Any] = {"help": option.help.replace("%", "%%")} if texts else {}
    if option.flag:
        how |= {"dest": option.field.name, "required": option.field.default is REQUIRED}
    if option.field.kind is bool:
        return how | {"action": argparse.BooleanOptionalAction}
    how |= {"metavar": option.metavar}
    if option.argument.read is not None:
        return how | {"action": _ReadAll, "nargs": "*", "read": option.argument.read}
    how |= {"type": partial(_read, option)}
    if option.argument.repeated:
        return how | {"action": "append"}
    return how | {"nargs": "+"} if option.field.several else how


def _read(option: Option, word: str) -> Any:
    """One value of an option; raises ArgumentTypeError."""
    word = word.strip() if _is_negative_number(word) else word
    if option.field.optional and word == "None":
        return None
    if option.field.choices:
        if word not in option.field.choices:
            raise argparse.ArgumentTypeError(unknown("value", word, option.field.choices))
        return word
    try:
        return option.field.kind(word)
    except ValueError:
        problem = f"must be {_NUMBERS[option.field.kind]}{' or None' if option.field.optional else ''}; given {word!r}"
        raise argparse.ArgumentTypeError(problem) from None


def _is_negative_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return word.lstrip().startswith("-")


def _instantiate(kind: type[Settings], given: dict[str, Any], default: Settings | None) -> Settings:
    """Settings with the values that were given, in the dataclasses in them too."""
    changes: dict[str, Any] = {}
    for field in fields_of(kind, default):
        if is_settings(field.default):
            changes[field.name] = _instantiate(type(field.default), given, field.default)
        elif field.name in given:
            value = given[field.name]
            changes[field.name] = tuple(value) if isinstance(value, list) else value
    settings = kind(**changes) if default is None else dataclasses.replace(default, **changes)  # type: ignore[type-var]
    check(settings, UsageError)
    return settings
