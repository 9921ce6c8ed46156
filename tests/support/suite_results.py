"""Results of suites, made by hand."""

from __future__ import annotations

from typing import Any

from benchmarks.suite.definition import Suite, Variant
from benchmarks.suite.stored import CurvePoint, Final, Results


def final(task: str, variant: str, seed: int, success: float, episode_return: float = 0.0) -> Final:
    return Final(task, variant, "ppo", seed, 10, 40, 1.5, 200, success, episode_return, 1.0, 50.0, 1.0 - success)


def results(finals: list[Final], tasks: tuple[str, ...] = ("t",), **changes: Any) -> Results:
    """Results of the variants that occur in `finals`, with a curve of two points for each run."""
    variants = tuple(Variant(name, "ppo") for name in dict.fromkeys(f.variant for f in finals))
    fields: dict[str, Any] = {"name": "trial", "title": "Trial", "tasks": tasks, "variants": variants, "seeds": (0,)}
    curves = {
        task: [
            CurvePoint(f.variant, f.seed, 5 * k, 20 * k, 0.75 * k, f.return_mean * k, f.success_rate / 2 * k)
            for f in finals
            if f.task == task
            for k in (1, 2)
        ]
        for task in tasks
    }
    return Results(Suite(**(fields | changes)), finals, curves, [], [], {})
