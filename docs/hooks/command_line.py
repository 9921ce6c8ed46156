"""Writes the page of the command line from the parser of every `hgrpo` command when the site is built."""

from __future__ import annotations

import argparse
import contextlib
import html
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import tyro
from tyro.extras import get_parser

from hgrpo_control.cli import COMMANDS, main

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PAGE = "reference/command-line.md"
TRAIN = "Options and defaults depend on the algorithm and the task. The tables are those of `quadrotor-hover`."
FLY = "Each target has its own options."
SUBCOMMANDS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "train": (TRAIN, {name: (name, "quadrotor-hover") for name in ("ppo", "grpo", "hybrid-grpo")}),
    "fly": (FLY, {name: ("POLICY", name) for name in ("simulated", "mavlink", "crazyflie")}),
}
INTRODUCTION = """# Command line

This page is generated from the parsers of the commands when the site is built.
`hgrpo COMMAND --help` prints the same options with the defaults of the command that you type.
`hgrpo --version` prints the release. The exit status is 0 on success, 1 for a check that failed,
2 for a user's mistake or a diverged run, and 130 after Ctrl-C.
"""


class _ParserReached(BaseException):
    """A command has handed its options to tyro."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated page to the site."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=page()))
    return files


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join((INTRODUCTION, *(line for name in COMMANDS for line in _command(name))))


def _command(name: str) -> Iterator[str]:
    command = COMMANDS[name]
    yield f"## hgrpo {name}\n"
    yield f"{command.purpose[0].upper()}{command.purpose[1:]}. Extra to install: `{command.extra}`.\n"
    yield f"```text\nhgrpo {f'{name} {command.usage}'.strip()}\n```\n"
    if name not in SUBCOMMANDS:
        parser = parser_of([name])
        yield from [f"```text\n{_printed([name])}\n```\n"] if parser is None else _options(parser)
        return
    remark, subcommands = SUBCOMMANDS[name]
    yield f"{remark}\n"
    for title, args in subcommands.items():
        yield f"### hgrpo {name} {title}\n"
        parser = parser_of([name, *args])
        if parser is None:
            raise RuntimeError(f"hgrpo {name} {' '.join(args)} --help did not reach its parser")
        yield from _options(parser)


def parser_of(words: list[str]) -> argparse.ArgumentParser | None:
    """The parser behind a command, None where it has none."""
    given: dict[str, Any] = {}

    def catch(kind: Any, *, args: Any, **how: Any) -> None:
        given.update(how, kind=kind)
        raise _ParserReached

    cli = tyro.cli
    tyro.cli = catch  # type: ignore[assignment]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            main([*words, "--help"])
    except _ParserReached:
        pass
    finally:
        tyro.cli = cli
    if not given:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return get_parser(given.pop("kind"), **given)


def _printed(words: list[str]) -> str:
    """The help of a command that reads its options by itself."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        main([*words, "--help"])
    return said.getvalue().strip()


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    if parser.description:
        yield f"{_escaped(parser.description)}\n"
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if "--help" not in action.option_strings]
        if not actions:
            continue
        title = (group.title or "options").removeprefix("config.").removesuffix(" options").replace("_", " ")
        if group.description:
            yield f"**{title[0].upper()}{title[1:]}.** {_escaped(group.description)}\n"
        elif title == "positional arguments":
            yield "**Arguments**\n"
        else:
            yield f"**{title[0].upper()}{title[1:]}**\n"
        yield "| option | value | meaning |\n|---|---|---|"
        for action in actions:
            names = ", ".join(f"`{word}`" for word in action.option_strings) or f"`{action.metavar}`"
            value = _code(str(action.metavar)) if action.metavar and action.option_strings else ""
            yield f"| {names} | {value} | {_escaped(action.help or '')} |"
        yield ""


def _code(text: str) -> str:
    """Code for a cell of a table, where a bar cannot stand in backticks."""
    return f"`{text}`" if "|" not in text else f"<code>{html.escape(text).replace('|', '&#124;')}</code>"


def _escaped(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("$", "\\$").replace("<", "&lt;").replace("*", "\\*")
