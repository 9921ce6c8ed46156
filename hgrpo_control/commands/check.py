"""`hgrpo check`: compare branches and replays of an environment, and its gradients with differences."""

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

    Where the task has gradients, they are compared with central differences. The exit status is 1 if there is a
    difference.
    """

    environment: Annotated[str, Argument("ENV", positional=True)]
    """Task, gymnasium/ID, MODULE:ID or MODULE:FACTORY."""
    states: Annotated[int, Range(least=1)] = 100
    """Number of states to branch from, and to compare gradients at."""
    steps: Annotated[int, Range(least=1)] = 5
    """Steps per branch."""
    seed: int = 0
    """Seed of the random actions and directions."""
    task_options: Annotated[dict[str, str], TASK_OPTIONS] = field(default_factory=dict)
    """Options of the environment."""
    imports: IMPORTS = ()
    """Module of yours to import first, such as the one that registers the task."""


def run(args: list[str]) -> int:
    """`hgrpo check ENV [options]`; returns 0 if branches are exact and gradients right, 1 if not."""
    options = parse(CheckOptions, args, "hgrpo check")
    from rich.console import Console

    from hgrpo_control.reports.branch_check import difference_table, verdict
    from hgrpo_imports import load_all
    from robots.branch_check.check import check as branch_check
    from robots.branch_check.target import SimulatorTarget, branch_targets

    load_all(options.imports)
    one, other, plain = branch_targets(options.environment, dict(options.task_options))
    with closing(one), closing(other), nullcontext() if plain is None else closing(plain):
        report = branch_check(one, other, plain, options.states, options.steps, options.seed)
    if report.differences:
        Console().print(difference_table(report))
    for line in (*(f"problem: {line}" for line in report.problems), *(f"note: {line}" for line in report.notes)):
        print(line)
    print(verdict(options.environment, report))
    gradients = (
        not isinstance(one, SimulatorTarget) or not one.simulator.spec.differentiable or _check_gradients(options)
    )
    return 0 if report.exact and gradients else 1


def _check_gradients(options: CheckOptions) -> bool:
    """Check the gradients of a differentiable task and print the result; true if they are right."""
    import torch
    from rich.console import Console

    from hgrpo_control.reports.gradient_check import gradient_verdict, slope_table
    from robots.gradient_check.check import check_gradients
    from robots.registry import make
    from robots.simulator import closing

    with (
        closing(make(options.environment, **options.task_options)) as own,
        closing(make(options.environment, **options.task_options, dtype=torch.float64)) as exact,
    ):
        report = check_gradients(own, exact, options.states, options.seed)
    if report.comparison.wrong:
        Console().print(slope_table(report))
    for line in report.problems:
        print(f"problem: {line}")
    print(gradient_verdict(options.environment, report))
    return report.right
