"""What an export wrote and measured, and the lines that show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hgrpo_control.training.judged import Judged
from sim2real.export.c_footprint import Footprint

SEEN = 4096
"""Observations of the policy's episodes: every other one calibrates int8, the others measure errors."""
_ENOUGH_EPISODES = 20
"""Fewer episodes give rates and mean returns of little weight."""


@dataclass(frozen=True)
class ExportEntry:
    """One exported form of a policy: its files and what was measured of it."""

    kind: Literal["float32", "batch1", "float16", "int8", "c", "crazyflie", "px4", "ros2"]
    """The first four are ONNX files."""
    files: tuple[Path, ...]
    """What was written: one ONNX file, a C source and its header, or the folder of an app, or an archive."""
    difference: float | None = None
    """Largest |action difference| from the torch policy, in action units; None where it was not
    measured: for C without a compiler, for an app's folder, and for float16 and int8, whose errors are in `measured`.
    """
    sequences: bool = False
    """Whether `difference` is over sequences of 1,000 steps, for a policy with memory."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """Of float16 and int8, as recorded in the file: errors as shares of an action's range, and the success rates and
    mean returns of the variant and of the policy over the same episodes."""
    judged: Judged | None = None
    """Difficulty and reward weights of these episodes."""
    footprints: tuple[Footprint, ...] = ()
    """Sizes of the compiled C code."""


def lines(entry: ExportEntry) -> Iterator[str]:
    """The lines that show an entry on a terminal."""
    if entry.kind == "crazyflie":
        yield f"crazyflie: {entry.files[0]} (see README.md in it)"
    elif entry.kind == "c":
        yield f"c: {' and '.join(map(str, entry.files))} ({_difference(entry)})"
        yield from (f"c: {footprint}" for footprint in entry.footprints)
    elif entry.kind == "px4":
        yield f"px4: {entry.files[0]} ({_difference(entry)}; copy it to raptor/policy.tar on the SD card)"
    elif entry.kind == "ros2":
        yield f"ros2: {entry.files[0]} (policy.onnx in it {_difference(entry)}; see README.md in it)"
    elif entry.measured:
        yield f"onnx: {entry.files[0]} ({entry.kind}: {_errors(entry.measured)}{_episodes(entry.measured)})"
        yield from _few_episodes(entry)
    else:
        rows = "takes one row; " if entry.kind == "batch1" else ""
        yield f"onnx: {entry.files[0]} ({rows}{_difference(entry)})"


def _difference(entry: ExportEntry) -> str:
    if entry.difference is None:
        return "not checked: there is no C compiler cc here"
    over = "sequences of 1,000 steps" if entry.sequences else "1,000 observations"
    return f"differs from torch by at most {entry.difference:.1e} over {over}"


def _errors(measured: Mapping[str, Any]) -> str:
    return (
        f"differs from torch by {measured['mean_error']:.1e} on average and by at most "
        f"{measured['largest_error']:.1e} of an action's range on {measured['observations']:,} observations"
    )


def _episodes(measured: Mapping[str, Any]) -> str:
    """Success rate and return of the variant beside those of the policy.

    Without a goal there is no success rate.
    """
    rate, policy_rate = measured["success_rate"], measured["policy_success_rate"]
    success = "" if rate is None else f", success {rate:.3f} (policy: {policy_rate:.3f})"
    returns = f", return {measured['return_mean']:.1f} (policy: {measured['policy_return_mean']:.1f})"
    return f"{success}{returns}, {measured['episodes']} episodes"


def _few_episodes(entry: ExportEntry) -> Iterator[str]:
    """A note where too few episodes were flown to trust the figures of a variant."""
    measured = entry.measured
    episodes, observations = measured["episodes"], measured["observations"]
    if episodes >= _ENOUGH_EPISODES and observations >= SEEN // 2:
        return
    calibrated, clipped = "", ""
    if calibration := measured.get("calibration_observations"):
        calibrated = f"calibrated on {calibration:,} observations and "
        clipped = "values outside the calibrated range are clipped, and the effect was not measured; "
    yield (
        f"note: {entry.kind} was {calibrated}measured on {observations:,} observations of {episodes} "
        f"episode{'' if episodes == 1 else 's'}; {clipped}errors, success and return can be worse in other episodes; "
        "raise --episodes (default 100)"
    )
