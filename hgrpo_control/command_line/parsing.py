"""Parsing of options into dataclasses, with a user's mistakes told in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import tyro

from hgrpo_errors import HgrpoError

Options = TypeVar("Options")

_RULE = re.compile(r"[│ ]*[─-]{5,}[│ ]*$")
_PREFIX = re.compile(r"^Error parsing (settings|config|config\.\w+): ")


class UsageError(HgrpoError):
    """Raised for a command line that cannot be understood; the message is one line."""


def parse(kind: type[Options], words: Sequence[str], program: str, default: Options | None = None) -> Options:
    """Options of a dataclass from the words behind a command; `--help` prints and exits.

    Raises UsageError for anything that does not parse.
    """
    _require_values(_of_several_values(kind), words)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                kind,
                args=list(words),
                prog=program,
                default=tyro.MISSING_NONPROP if default is None else default,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.AvoidSubcommands),
            )
    except SystemExit as stopped:
        if stopped.code in (0, None):
            raise
        raise UsageError(_one_line(complaint.getvalue())) from None


def _require_values(options: dict[str, str], words: Sequence[str]) -> None:
    """Raise UsageError where an option of several values is given none, which would make an empty list of it.

    Names with values (`--task-options`) may be none: that changes nothing, and scripts have them in a variable.
    """
    for word, following in pairwise([*words, "--"]):
        if following.startswith("--") and (example := options.get(word.replace("_", "-"))) is not None:
            raise UsageError(f"{word} takes one value or more{example and f', such as {word} {example}'}; given none")


def _of_several_values(kind: Any) -> dict[str, str]:
    """Every option, of the parts of a dataclass too, that takes any number of values, with an example of them."""
    found: dict[str, str] = {}
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        for each in (hint, *get_args(hint)):
            if dataclasses.is_dataclass(each):
                found |= _of_several_values(each)
            elif get_origin(each) is tuple and Ellipsis in get_args(each):
                given = field.default if isinstance(field.default, tuple) else ()
                found[f"--{field.name.replace('_', '-')}"] = " ".join(map(str, given))
    return found


def _one_line(text: str) -> str:
    """The message in tyro's box, and the option it thinks was meant."""
    sections: list[list[str]] = [[]]
    # The first line is the box's title. Its frame is made of dashes and blanks where the terminal is not UTF-8.
    for line in text.strip().splitlines()[1:]:
        if _RULE.match(line):
            sections.append([])
        elif words := line.strip("│╭╮╰╯─ ").split():
            sections[-1].append(" ".join(words))
    sections = [section for section in sections if section]
    message = _PREFIX.sub("", " ".join(sections[0]))
    meant = next((s[1].split()[0] for s in sections if len(s) > 1 and s[0].startswith("Perhaps you meant")), None)
    return f"{message}; did you mean {meant}?" if meant else message
