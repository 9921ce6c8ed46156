"""Flash, RAM and stack of an exported C policy, as the compiler reports them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sim2real.policy.c_policy import WARNINGS, run_compiler

CORTEX_M4F = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_TARGETS = {"Cortex-M4F": ("arm-none-eabi-", CORTEX_M4F), "this machine": ("", ())}


class Footprint(NamedTuple):
    """Bytes of one object file; functions of libm are not included."""

    target: str
    flash: int
    """Code, weights and golden vectors: sections .text, .rodata and .data."""
    ram: int
    """Static variables: sections .data and .bss."""
    stack: int
    """Sum of the frames of all functions without the self-test: an upper bound of the stack in flight."""

    memory: int = 0
    """The struct that carries a policy's memory; the caller keeps it. 0 without memory."""

    def __str__(self) -> str:
        kept = f", {self.memory} B of memory in the caller" if self.memory else ""
        return f"{self.target}: {self.flash:,} B flash, {self.ram} B RAM, at most {self.stack} B stack{kept}"


def footprint(source: Path, prefix: str, target: str, flags: Sequence[str], memory: int = 0) -> Footprint:
    """Compile a source at -O2 and measure it.

    Args:
        source: The C file.
        prefix: Prefix of the tools, such as arm-none-eabi-.
        target: Name of the target, for the report.
        flags: Flags of the target.
        memory: Bytes of the struct that carries the policy's memory.

    Raises CompilerError.
    """
    with TemporaryDirectory() as folder:
        compiled = Path(folder) / "policy.o"
        args = ("-std=c99", *WARNINGS, "-O2", "-fstack-usage", *flags, "-c", str(source), "-o", str(compiled))
        run_compiler(f"{prefix}gcc", args)
        report = subprocess.run([f"{prefix}size", str(compiled)], capture_output=True, text=True, check=True)
        text, data, bss = map(int, report.stdout.splitlines()[1].split()[:3])
        frames = [line.split("\t") for line in compiled.with_suffix(".su").read_text().splitlines()]
    in_flight = (int(frame[1]) for frame in frames if not frame[0].endswith("_self_test"))
    return Footprint(target, text + data, data + bss, sum(in_flight), memory)


def footprints(source: Path, memory: int = 0) -> list[Footprint]:
    """The footprint on every target with a compiler on this machine; arguments as of `footprint`."""
    return [
        footprint(source, prefix, target, flags, memory)
        for target, (prefix, flags) in _TARGETS.items()
        if shutil.which(f"{prefix}gcc") and shutil.which(f"{prefix}size")
    ]
