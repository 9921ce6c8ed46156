"""`hgrpo check`: compare branches and replays of an environment."""

from __future__ import annotations

from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Annotated

from hgrpo_control.command_line.parsing import parse
from hgrpo_control.config.argument import IMPORTS, Argument
from hgrpo_control.config.named_values import TASK_OPTIONS
from hgrpo_fields import Range


@dataclass(frozen=True)
class CheckOptions:
    """Branch and replay an environment, and print every difference.

    The exit status is 1 if there is a difference.
    """

    environment: Annotated[str, Argument("ENV", positional=True)]
    """Task, gymnasium/ID, MODULE:ID or MODULE:FACTORY."""
    states: Annotated[int, Range(least=1)] = 100
    """Number of states to branch from."""
    steps: Annotated[int, Range(least=1)] = 5
    """Steps per branch."""
    seed: int = 0
    """Seed of the random actions."""
    task_options: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    """Options of the environment."""
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers the task."""


def run(args: list[str]) -> int:
    """`hgrpo check ENV [options]`; returns 0 if the environment is exact, 1 if not."""
    options = parse(CheckOptions, args, "hgrpo check")
    from rich.console import Console

    from hgrpo_control.reports.branch_check import difference_table, verdict
    from hgrpo_imports import load_all
    from robots.branch_check.check import check as branch_check
    from robots.branch_check.target import branch_targets

    load_all(options.imports)
    one, other, plain = branch_targets(options.environment, dict(options.task_options))
    with closing(one), closing(other), nullcontext() if plain is None else closing(plain):
        report = branch_check(one, other, plain, options.states, options.steps, options.seed)
    if report.differences:
        Console().print(difference_table(report))
    for line in (*(f"problem: {line}" for line in report.problems), *(f"note: {line}" for line in report.notes)):
        print(line)
    print(verdict(options.environment, report))
    return 0 if report.exact else 1
