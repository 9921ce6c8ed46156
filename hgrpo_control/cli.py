"""The command line `hgrpo`. A command is imported when it runs: help is quick, and signals are minded early."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import hgrpo_signals
from hgrpo_control.command_line import standard_output
from hgrpo_control.command_line.interruption import told
from hgrpo_errors import HgrpoError, install, nearest, printable


class Command(NamedTuple):
    """One word behind `hgrpo`; hgrpo_control/commands/WORD.py is what it does."""

    usage: str
    purpose: str
    extra: str = "train"
    """What to install for it; hgrpo_errors.install says how."""


OUTPUT_UNREAD = 128 + 13  # what a shell reports of a process that SIGPIPE ended

COMMANDS: dict[str, Command] = {
    "tasks": Command("[TASK]", "list every task, or print the spaces and options of one"),
    "train": Command("ALGORITHM TASK [--out DIR ...]", "train a policy (ppo, grpo, hybrid-grpo)"),
    "resume": Command("DIR [--total-steps N]", "go on with a run, or give it more steps"),
    "evaluate": Command("DIR [--video ...]", "fly a trained policy in fresh episodes"),
    "transfer": Command(
        "DIR --to PHYSICS [--video ...]", "fly a policy in another physics: mujoco, gym-pybullet-drones"
    ),
    "export": Command("DIR [--onnx PATH ...]", "write a trained policy as ONNX, as C, for a Crazyflie"),
    "inspect": Command("FILE", "what an exported ONNX file takes, gives and was measured at", "deploy"),
    "fly": Command("POLICY TARGET [...]", "fly an exported policy: simulated, mavlink, crazyflie", "deploy"),
    "serve": Command("POLICY.onnx ... [--port P ...]", "answer observations over WebSocket and HTTP", "serve"),
    "check": Command("ENV [--states K ...]", "branch and replay an environment: is it exact?"),
    "compare": Command("DIR DIR ...", "learning curves and a table of several runs"),
    "diagnose": Command("DIR [--roots E ...]", "variance and bias of every estimator's policy gradient"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0; 1 for a check that failed; 2 for a user's mistake or a diverged run; 130 when interrupted; 141 where nobody reads
    the output any more, as in `hgrpo tasks | head -n 1`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not words or words[0] in ("-h", "--help"):
            print(_overview())
            return 0 if words else 2
        if words == ["--version"]:
            from importlib.metadata import version

            print(f"hgrpo {version('hgrpo-control')}")
            return 0
        if words[0] not in COMMANDS:
            raise HgrpoError(f"unknown command {words[0]!r}; {nearest(words[0], tuple(COMMANDS))}")
        command = import_module(f"hgrpo_control.commands.{words[0]}")
        return command.run(words[1:]) or 0
    except BrokenPipeError as error:
        if not standard_output.is_of_output(error):
            raise
        return OUTPUT_UNREAD
    except HgrpoError as error:
        print(f"hgrpo: {' '.join(printable(str(error)).split())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        extra = COMMANDS[words[0]].extra
        print(f"hgrpo: {words[0]} needs {error.name}: {install(extra)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(told(stopped), file=sys.stderr)
        return 130


def entry_point() -> None:
    """What the installed `hgrpo` script calls: `main`, and what is told of output that could not be written."""
    if sys.argv[1:2] == ["serve"]:  # the first process of a container loses signals that it neither handles nor holds
        hgrpo_signals.hold()
    standard_output.watch()
    try:
        status = main()
    except SystemExit as stopped:  # --help
        status = stopped.code  # type: ignore[assignment]
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
    lines = [f"  hgrpo {f'{name} {command.usage}':44}{command.purpose}" for name, command in COMMANDS.items()]
    return "\n".join(
        (
            "Train, judge and export robot policies: PPO, GRPO and Hybrid GRPO.",
            "",
            *lines,
            "",
            "hgrpo COMMAND --help has the options of each; hgrpo --version says which release this is.",
        )
    )
