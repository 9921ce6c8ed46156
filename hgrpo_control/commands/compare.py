"""`hgrpo compare`: several runs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from hgrpo_control.command_line.parsing import UsageError, parse


@dataclass(frozen=True)
class CompareOptions:
    """Learning curves and a table of several runs, as PNG and Markdown."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders."""
    out: Path = Path("comparison")
    """Folder to write into."""


def run(words: list[str]) -> None:
    """`hgrpo compare DIR DIR ... [options]`."""
    options = parse(CompareOptions, words, "hgrpo compare")
    if not options.folders:
        raise UsageError("hgrpo compare needs at least one run folder")
    from hgrpo_control.reports.compare import compare as side_by_side

    for path in side_by_side(options.folders, options.out):
        print(path)
