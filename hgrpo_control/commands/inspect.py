"""`hgrpo inspect`: what an exported file says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.config.argument import Argument


@dataclass(frozen=True)
class InspectOptions:
    """Tables of what an exported ONNX file takes, gives, and was measured at."""

    file: Annotated[Path, Argument("FILE", positional=True)]
    """The file."""


def run(words: list[str]) -> None:
    """`hgrpo inspect FILE`."""
    options = parse(InspectOptions, words, "hgrpo inspect")
    from sim2real.policy.inspection import inspect as describe

    print(describe(options.file))
