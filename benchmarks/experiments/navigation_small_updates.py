"""Navigation with everything randomised and small updates, beside slopes."""

from __future__ import annotations

from itertools import product

from benchmarks.experiments import first_order, update_size
from benchmarks.experiments.memory import GRU
from benchmarks.experiments.navigation import RANDOMIZED
from benchmarks.suite.definition import Suite, Variant

WAYPOINTS, OBSTACLES = "quadrotor-waypoints", "quadrotor-obstacles"
UPDATES = (8_192, 16_384)
FINALISTS = {"ppo": 8_192, "hybrid-grpo": 8_192}
"""Steps per update among obstacles with the higher success with seed 0; they have five seeds."""
LONG, SHORT = ("--branch-steps", "None"), ("--branch-steps", "32")


def slopes(task: str, name: str, share: str, gae_lambda: str, steps: int, *words: str) -> Variant:
    """Slopes on one task; among obstacles three seeds, since a run takes ten minutes."""
    options = (*first_order.words(1, share, gae_lambda, steps), *update_size.NETWORK.get(task, ()), *words, *RANDOMIZED)
    seeds = () if task == WAYPOINTS else (0, 1, 2)
    return Variant(f"{task.removeprefix('quadrotor-')}-{name}", "hybrid-grpo", options, "slopes", (task,), seeds)


def variant(algorithm: str, task: str, update: int, rate: float) -> Variant:
    """A setting of update_size with everything randomised."""
    fixed = update_size.variant(algorithm, task, update, rate)
    seeds = () if task == WAYPOINTS or update == FINALISTS[algorithm] else (0,)
    return Variant(fixed.name, algorithm, (*fixed.options, *RANDOMIZED), algorithm, (task,), seeds)


SUITE = Suite(
    name="navigation-small-updates",
    title="Navigation with everything randomised: small updates",
    tasks=(WAYPOINTS, OBSTACLES),
    variants=(
        *(variant(algorithm, WAYPOINTS, 16_384, 3e-3) for algorithm in ("ppo", "hybrid-grpo")),
        *(variant(algorithm, OBSTACLES, update, 1.5e-3) for algorithm, update in product(FINALISTS, UPDATES)),
        slopes(WAYPOINTS, "slopes", "1", "1", 16 * 65_536, *LONG),
        slopes(WAYPOINTS, "slopes-gru", "1", "1", 16 * 65_536, *LONG, *GRU),
        slopes(OBSTACLES, "short-slopes", "0.8", "0.95", 72 * 65_536, *SHORT),
        slopes(OBSTACLES, "short-slopes-gru", "0.8", "0.95", 72 * 65_536, *SHORT, *GRU),
    ),
    seeds=(0, 1, 2, 3, 4),
)
