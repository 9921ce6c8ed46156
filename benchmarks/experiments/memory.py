"""Memory: a GRU beside none, at equal simulator steps and at about equal time, trained by slopes."""

from __future__ import annotations

from benchmarks.experiments import first_order, update_size
from benchmarks.experiments.first_order import GUSTY, OBSTACLES, RANDOMIZED
from benchmarks.suite.definition import Suite, Variant

GRU = ("--memory", "gru", "--memory-size", "32", "--sequence-steps", "32")
TWICE = "no-memory-twice-the-steps"
"""A step with a GRU takes about twice the time of one without."""


def variant(task: str, name: str, steps: int, *words: str) -> Variant:
    """Slopes on one task with more words, in branches of 128 steps unless they say another length."""
    slopes = first_order.words(1, first_order.SHARE.get(task, "1"), first_order.LAMBDA.get(task, "1"), steps)
    network = update_size.NETWORK.get(task, ())
    return Variant(
        f"{task.removeprefix('quadrotor-')}-{name}", "hybrid-grpo", (*slopes, *network, *words), "slopes", (task,)
    )


def hovering(task: str, steps: int) -> tuple[Variant, ...]:
    """No memory, a GRU, and no memory for as long as the GRU takes."""
    return (
        variant(task, "no-memory", steps, "--memory", "none"),
        variant(task, "gru", steps, *GRU),
        variant(task, TWICE, 2 * steps, "--memory", "none"),
    )


SUITE = Suite(
    name="memory",
    title="Memory: a GRU beside none",
    tasks=(RANDOMIZED, GUSTY, OBSTACLES),
    variants=(
        *hovering(RANDOMIZED, 12 * 65_536),
        *hovering(GUSTY, 15 * 65_536),
        variant(OBSTACLES, "no-memory", 72 * 65_536, "--branch-steps", "32", "--memory", "none"),
        variant(OBSTACLES, "gru", 72 * 65_536, "--branch-steps", "32", *GRU),
    ),
    seeds=(0, 1, 2, 3, 4),
)
