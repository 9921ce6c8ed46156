"""The command line `hgrpo`.

A command is imported when it runs, so that help and signal handling start early.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import hgrpo_signals
from hgrpo_control.command_line import standard_output
from hgrpo_control.command_line.interruption import is_interrupted, last_line
from hgrpo_errors import HgrpoError, install, nearest, printable


class Command(NamedTuple):
    """A command of `hgrpo`; its code is in hgrpo_control/commands/NAME.py."""

    usage: str
    """Arguments that it needs."""
    purpose: str
    """One sentence for the overview."""
    extra: str = "train"
    """Extra that it needs; `hgrpo_errors.install` prints how to install it."""


OUTPUT_UNREAD = 128 + 13  # what a shell reports of a process that SIGPIPE ended

COMMANDS: dict[str, Command] = {
    "tasks": Command("[TASK]", "List the tasks, or describe one."),
    "identify": Command("LOG --vehicle DRONE", "Fit the numbers of a drone to a flight."),
    "vehicle": Command("DRONE", "Check the numbers of a drone, or write its file."),
    "train": Command("ALGORITHM TASK", "Train a policy: ppo, grpo or hybrid-grpo."),
    "tune": Command("ALGORITHM TASK", "Search for the settings of a task with Optuna.", "tune"),
    "resume": Command("DIR", "Continue a run, or give it more steps."),
    "evaluate": Command("DIR", "Evaluate a trained policy in fresh episodes."),
    "watch": Command("RUN ...", "Watch policies fly on a 3D page in the browser.", "watch"),
    "transfer": Command("DIR --to PHYSICS", "Evaluate a policy in another physics engine."),
    "export": Command("DIR", "Write a policy as ONNX, C or a Crazyflie app."),
    "inspect": Command("FILE", "Describe an exported ONNX file.", "deploy"),
    "zoo": Command("[NAME]", "List the trained policies, or describe one.", "deploy"),
    "fly": Command("POLICY TARGET", "Fly a policy in a simulator or on a vehicle.", "deploy"),
    "serve": Command("POLICY.onnx ...", "Serve policies over WebSocket and HTTP.", "serve"),
    "check": Command("ENV", "Check that an environment branches exactly."),
    "compare": Command("DIR ...", "Draw learning curves and a table of runs."),
    "diagnose": Command("DIR", "Measure variance and bias of the gradients."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command and its arguments; None takes those of the process.

    Returns:
        Exit status: 0; 1 for a check that failed; 2 for a user's mistake or a diverged run; 130 after Ctrl-C; 141 if
        the reader of the output is gone, as in `hgrpo tasks | head -n 1`.
    """
    args = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not args or args[0] in ("-h", "--help"):
            print(_overview())
            return 0 if args else 2
        if args == ["--version"]:
            from importlib.metadata import version

            print(f"hgrpo {version('hgrpo-control')}")
            return 0
        if args[0] not in COMMANDS:
            raise HgrpoError(f"unknown command {args[0]!r}; {nearest(args[0], tuple(COMMANDS))}")
        command = import_module(f"hgrpo_control.commands.{args[0]}")
        return command.run(args[1:]) or 0
    except BrokenPipeError as error:
        if not standard_output.is_of_output(error):
            raise
        return OUTPUT_UNREAD
    except HgrpoError as error:
        print(f"hgrpo: {' '.join(printable(str(error)).split())}", file=sys.stderr)
        return 2
    except ImportError as error:
        if is_interrupted(error):
            print("interrupted while a module was loaded", file=sys.stderr)
            return 130
        if not isinstance(error, ModuleNotFoundError):
            raise
        extra = COMMANDS[args[0]].extra
        print(f"hgrpo: {args[0]} needs {error.name}: {install(extra)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interruption:
        print(last_line(interruption), file=sys.stderr)
        return 130


def entry_point() -> None:
    """The installed script `hgrpo`: run `main`, and report output that cannot be written."""
    if sys.argv[1:2] == ["serve"]:  # PID 1 of a container loses signals that it neither handles nor blocks
        hgrpo_signals.hold()
    standard_output.watch()
    try:
        status = main()
    except SystemExit as end:  # --help
        status = end.code  # type: ignore[assignment]
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        status = OUTPUT_UNREAD
        standard_output.give_up()
    except standard_output.OutputError as error:
        print(f"hgrpo: {error}", file=sys.stderr)
        status = 2
    sys.exit(status)


def _overview() -> str:
    lines = [f"  {f'{name} {command.usage}':30}{command.purpose}" for name, command in COMMANDS.items()]
    return "\n".join(
        (
            "usage: hgrpo COMMAND [arguments]",
            "",
            "Train, evaluate and export robot policies with PPO, GRPO and Hybrid GRPO.",
            "",
            *lines,
            "",
            "hgrpo COMMAND --help lists the options. hgrpo --version prints the release.",
        )
    )
