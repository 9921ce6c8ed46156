"""The command blocks and Python blocks of this repository's documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SHELL = ("bash", "console", "sh", "shell")
_FENCE = re.compile(r"\s*```(\w*)\s*$")
_MARK = re.compile(r"<!-- (not run|run by): (.+) -->$")


class Block(NamedTuple):
    """What a document shows as something to type."""

    document: str
    """Its path in the repository."""
    line: int
    """Of the document, where its text begins."""
    language: str
    """shell (indented, or fenced as one), python, or what another fence says."""
    text: str
    mark: tuple[str, str] | None
    """`not run` and why, or `run by` and the test that does, of a comment before it."""

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.document}:{self.line}"


def documents() -> list[str]:
    """Every document, by its path in the repository."""
    pages = (ROOT / "docs").rglob("*.md")
    return ["README.md", "CONTRIBUTING.md", *sorted(page.relative_to(ROOT).as_posix() for page in pages)]


def blocks(document: str) -> list[Block]:
    """The blocks of a document, in order."""
    return list(blocks_of(document, (ROOT / document).read_text(encoding="utf-8")))


def blocks_of(document: str, text: str) -> Iterator[Block]:
    """The blocks of a text; an indented one follows an empty line, and ends where the indent does."""
    lines, at, mark = text.split("\n"), 0, None
    while at < len(lines):
        fence, begin = _FENCE.match(lines[at]), at
        if fence:
            at = next((i for i in range(begin + 1, len(lines)) if lines[i].strip() == "```"), len(lines))
            language = "shell" if fence[1] in SHELL else fence[1]
            yield Block(document, begin + 2, language, "\n".join(lines[begin + 1 : at]), mark)
        elif lines[at].startswith("    ") and lines[at].strip() and (at == 0 or not lines[at - 1].strip()):
            while at + 1 < len(lines) and lines[at + 1].startswith("    "):
                at += 1
            shown = "\n".join(line[4:] for line in lines[begin : at + 1])
            yield Block(document, begin + 1, "shell", shown, mark)
        if lines[begin].strip():
            found = _MARK.match(lines[begin])
            mark = (found[1], found[2]) if found else None
        at += 1
