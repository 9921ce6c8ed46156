"""`hgrpo fly`: an exported policy in the loop, on a simulator or a vehicle."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hgrpo_control.command_line.options import flags_of, groups_of
from hgrpo_control.command_line.parsing import UsageError, parse
from hgrpo_control.commands.fly_targets import TARGETS, TargetOptions
from hgrpo_errors import install, nearest
from hgrpo_files import FileError
from policies.zoo import resolved

if TYPE_CHECKING:
    from sim2real.flight.record import FlightRecord

USAGE = "hgrpo fly POLICY TARGET [options]"
POLICY = "ONNX file of `hgrpo export`, zoo:NAME of `hgrpo zoo`, or ws://HOST:PORT/ or wss://HOST:PORT/ of `hgrpo serve`"


def run(args: list[str]) -> int:
    """`hgrpo fly POLICY TARGET [options]`.

    Returns 0, and 1 if the watchdog ended the flight or the record could not be written.
    """
    parts = [part for arg in args for part in arg.split("=", 1)]
    if "--target" in parts:
        given = next((arg for arg in args if not arg.startswith("-") and arg not in TARGETS), "POLICY")
        target = next((part for part in parts if part in TARGETS), "TARGET")
        raise UsageError(f"unknown option --target; the target is the second argument: hgrpo fly {given} {target}")
    if len(args) < 2 or args[0].startswith("-") or args[1].startswith("-"):
        if "--help" in args or "-h" in args:
            print(_overview())
            return 0
        raise UsageError(f"usage: {USAGE}; TARGET is one of {', '.join(TARGETS)}")
    policy, target, *rest = args
    policy = resolved(policy)
    if target not in TARGETS:
        raise UsageError(f"unknown target {target!r}; {nearest(target, tuple(TARGETS))}; usage: {USAGE}")
    _require_options_of(target, rest)
    return _fly(policy, parse(TARGETS[target], rest, f"hgrpo fly {policy} {target}"), target)


def _overview() -> str:
    return "\n".join(
        (
            f"usage: {USAGE}",
            "",
            "Fly an exported policy at its rate, on a schedule, under a watchdog. See docs/guides/fly.md.",
            "",
            f"  {'POLICY':12}{POLICY}",
            *(f"  {name:12}{(kind.__doc__ or '').splitlines()[0]}" for name, kind in TARGETS.items()),
            "",
            "hgrpo fly POLICY TARGET --help prints the options of a target.",
        )
    )


def _require_options_of(target: str, args: Sequence[str]) -> None:
    """Raise UsageError for an option that only other targets have."""
    for flag in (arg.partition("=")[0] for arg in args if arg.startswith("--")):
        owners = [name for name, kind in TARGETS.items() if flag in flags_of(groups_of(kind))]
        if owners and target not in owners:
            raise UsageError(f"unknown option {flag} of {target}; it is an option of {' and '.join(owners)}")


def _require_new(record: Path) -> None:
    """Raise UsageError unless the record is a new file in a folder that exists."""
    if record.is_dir():
        raise UsageError(f"{record} is a folder; --record is a new .npz file")
    if record.exists():
        raise UsageError(f"{record} exists already; choose another file")
    if not record.parent.is_dir():
        raise UsageError(f"there is no folder {record.parent} to write {record.name} into")


def _fly(address: str, options: TargetOptions, name: str) -> int:
    """Fly with options that were read; the exit status."""
    common = options.flight
    if common.record is not None:
        _require_new(common.record)
    from hgrpo_control.command_line.interruption import listing_what_is_kept
    from sim2real.client.open_policy import is_address, open_policy
    from sim2real.flight.clock import SteppedClock
    from sim2real.flight.loop import LoopOptions, fly
    from sim2real.flight.record import FlightRecord
    from sim2real.flight.statistics import LoopStatistics
    from sim2real.policy.trained_on import airframe_in_words, options_in_words

    with open_policy(address, common.token_file, common.certificate) as policy:
        clock = options.clock()
        loop = LoopOptions(
            seconds=common.seconds,
            max_age=common.max_age,
            safe_action=common.safe_action,
            worker=is_address(address) and not isinstance(clock, SteppedClock),  # which stands still meanwhile
            watchdog=common.watchdog,
        )
        try:
            target = options.make(policy, clock)
        except ModuleNotFoundError as error:
            package = str(error.name).partition(".")[0]
            raise UsageError(f"{name} needs {package}: {install(options.extra)}") from error
        print(f"trained for {policy.spec.task}; task options: {options_in_words(policy.trained_on)}")
        print(f"airframe {policy.spec.robot or 'without a name'}: {airframe_in_words(policy.trained_on)}")
        if difference := getattr(target, "differences", ""):
            print(f"flown otherwise than trained: {difference}")
        record = None if common.record is None else FlightRecord(policy.spec)
        statistics, flight = LoopStatistics(), None
        with listing_what_is_kept() as kept:
            try:
                flight = fly(policy, target, loop, clock, record, statistics)
            finally:
                if flight is None and statistics.ticks:  # it flew, whatever failed in the end
                    print(statistics.table())
                written = record is None or common.record is None or _write(record, common.record, kept)
    print(f"ended: {flight.reason}")
    summary = getattr(target, "summary", None)
    if summary is not None:
        print(summary())
    print(statistics.table())
    return 1 if flight.stopped_by_watchdog or not written else 0


def _write(record: FlightRecord, path: Path, kept: list[Path]) -> bool:
    """Write the record.

    A full disk prints a line and does not hide how the flight ended.
    """
    try:
        record.write(path)
    except FileError as error:
        print(f"the record is lost: {error}", file=sys.stderr)
        return False
    kept.append(path)
    print(f"record: {path}")
    return True
