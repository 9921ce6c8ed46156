"""`hgrpo inspect`: print the metadata of an exported file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.config.argument import Argument
from policies.zoo import resolved


@dataclass(frozen=True)
class InspectOptions:
    """Print the inputs, outputs and measurements of an exported ONNX file."""

    file: Annotated[str, Argument("FILE", positional=True)]
    """ONNX file that `hgrpo export` wrote, or zoo:NAME of `hgrpo zoo`."""


def run(args: list[str]) -> None:
    """`hgrpo inspect FILE`."""
    options = parse(InspectOptions, args, "hgrpo inspect")
    from sim2real.policy.inspection import inspect as describe

    print(describe(Path(resolved(options.file))))
