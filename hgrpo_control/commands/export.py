"""`hgrpo export`: write a trained policy for use without the training packages."""

from __future__ import annotations

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.export.settings import ExportOptions


def run(args: list[str]) -> None:
    """`hgrpo export DIR [options]`."""
    options = parse(ExportOptions, args, "hgrpo export")
    from hgrpo_control.command_line.interruption import listing_what_is_kept
    from hgrpo_control.export.files import export
    from hgrpo_control.export.report import lines

    judged = None
    with listing_what_is_kept() as kept:
        for entry in export(options):
            kept += entry.files
            if entry.judged is not None and judged is None:
                judged = entry.judged
                print(*judged.lines, sep="\n")
            print(*lines(entry), sep="\n")
