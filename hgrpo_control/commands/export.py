"""`hgrpo export`: which files are asked for."""

from __future__ import annotations

import dataclasses

from hgrpo_control.command_line import parse
from hgrpo_control.export_settings import ExportOptions


def run(words: list[str]) -> None:
    """`hgrpo export DIR [options]`."""
    bare = "--onnx" in words and "".join(words[words.index("--onnx") + 1 :][:1])[:2] in ("", "--")
    options = parse(ExportOptions, [word for word in words if not (bare and word == "--onnx")], "hgrpo export")
    if bare:
        options = dataclasses.replace(options, onnx=options.folder / "policy.onnx")
    from hgrpo_control.exporting import export
    from hgrpo_control.interruption import listing_what_is_kept

    with listing_what_is_kept() as kept:
        for line, files in export(options):
            kept += files
            print(line)
