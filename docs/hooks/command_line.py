"""Writes the page of the command line from the parsers of all `hgrpo` commands."""

from __future__ import annotations

import contextlib
import html
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from hgrpo_control.cli import COMMANDS, main
from hgrpo_control.command_line import parsing
from hgrpo_control.command_line.options import Group

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PAGE = "reference/command-line.md"
TRAIN = "Options and defaults depend on the algorithm and the task. The tables are those of `quadrotor-hover`."
FLY = "Each target has its own options."
SUBCOMMANDS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "train": (TRAIN, {name: (name, "quadrotor-hover") for name in ("ppo", "grpo", "hybrid-grpo")}),
    "tune": ("Options and defaults are those of `hgrpo train`, and these.", {"ppo": ("ppo", "quadrotor-hover")}),
    "fly": (FLY, {name: ("POLICY", name) for name in ("simulated", "mavlink", "crazyflie")}),
}
INTRODUCTION = """# Command line

This page is generated from the parsers of the commands when the site is built.
`hgrpo COMMAND --help` prints the same options with the defaults of the command that you type.
`hgrpo --version` prints the release. The exit status is 0 on success, 1 for a check that failed,
2 for a user's mistake or a diverged run, and 130 after Ctrl-C.
"""


class _ParserReached(BaseException):
    """Raised in place of parsing, once the options of a command are known."""


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
    yield f"{command.purpose} Extra to install: `{command.extra}`.\n"
    yield f"```text\nhgrpo {name} {command.usage} [options]\n```\n"
    if name not in SUBCOMMANDS:
        groups = groups_of([name])
        yield from _options(groups) if groups else [f"```text\n{_printed([name])}\n```\n"]
        return
    remark, subcommands = SUBCOMMANDS[name]
    yield f"{remark}\n"
    for title, args in subcommands.items():
        yield f"### hgrpo {name} {title}\n"
        yield from _options(groups_of([name, *args]))


def groups_of(words: list[str]) -> list[Group]:
    """The options of a command, none where it has none."""
    groups: list[Group] = []

    def catch(found: list[Group], *_: object, **how: object) -> NoReturn:
        groups.extend(found)
        raise _ParserReached

    make_parser = parsing.make_parser
    parsing.make_parser = catch  # type: ignore[assignment]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            main([*words, "--help"])
    except _ParserReached:
        pass
    finally:
        parsing.make_parser = make_parser
    return groups


def _printed(words: list[str]) -> str:
    """The help of a command that reads its options by itself."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        main([*words, "--help"])
    return said.getvalue().strip()


def _options(groups: list[Group]) -> Iterator[str]:
    if groups[0].description:
        yield f"{_escaped(groups[0].description)}\n"
    for number, group in enumerate(groups):
        title = f"**{group.title[0].upper()}{group.title[1:]}"
        yield f"{title}.** {_escaped(group.description)}\n" if number and group.description else f"{title}**\n"
        yield "| option | value | meaning |\n|---|---|---|"
        for option in group.options:
            flag = f"`{option.flag}`" if option.flag else ""
            if option.field.kind is bool:
                flag, value = f"{flag}, `--no-{option.flag[2:]}`", ""
            else:
                value = _code(f"{option.metavar} ..." if option.field.several else option.metavar)
            yield f"| {flag} | {value} | {_escaped(option.help)} |"
        yield ""


def _code(text: str) -> str:
    """Code for a cell of a table, where a bar cannot stand in backticks."""
    return f"`{text}`" if "|" not in text else f"<code>{html.escape(text).replace('|', '&#124;')}</code>"


def _escaped(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("$", "\\$").replace("<", "&lt;").replace("*", "\\*")
