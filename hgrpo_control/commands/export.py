"""`hgrpo export`: which files are asked for."""

from __future__ import annotations

import dataclasses

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.export.settings import ExportOptions


def run(words: list[str]) -> None:
    """`hgrpo export DIR [options]`."""
    bare = "--onnx" in words and "".join(words[words.index("--onnx") + 1 :][:1])[:2] in ("", "--")
    options = parse(ExportOptions, [word for word in words if not (bare and word == "--onnx")], "hgrpo export")
    if bare:
        options = dataclasses.replace(options, onnx=options.folder / "policy.onnx")
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
