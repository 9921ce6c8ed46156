"""`hgrpo compare`: several runs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.config.argument import RUN_FOLDER


@dataclass(frozen=True)
class CompareOptions:
    """Draw the learning curves of several runs, and write a table of them as Markdown."""

    folders: Annotated[tuple[Path, ...], RUN_FOLDER]
    """Run folders."""
    out: Path = Path("comparison")
    """Folder for the plots and the table."""


def run(args: list[str]) -> None:
    """`hgrpo compare DIR DIR ... [options]`."""
    options = parse(CompareOptions, args, "hgrpo compare")
    from hgrpo_control.reports.compare import compare as side_by_side

    for path in side_by_side(options.folders, options.out):
        print(path)
