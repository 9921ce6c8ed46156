"""Suites of tiny runs."""

from __future__ import annotations

import json

from benchmarks.suite.definition import Suite, Variant
from benchmarks.suite.plan import Run

OPTIONS = "--num-envs 4 --rollout-steps 4 --num-minibatches 1 --update-epochs 1 --hidden-sizes 8 --total-steps"


def a_suite(*names: str, seeds: tuple[int, ...] = (0,)) -> Suite:
    variants = tuple(Variant(name, "ppo", (*OPTIONS.split(), "32")) for name in names)
    return Suite("trial", "Trial", ("quadrotor-hover",), variants, seeds, episodes=5)


def processes(run: Run) -> list[str]:
    """First words of the commands that were started for a run."""
    return [json.loads(line)["command"][1] for line in run.origin.read_text(encoding="utf-8").splitlines()]
