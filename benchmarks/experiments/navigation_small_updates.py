"""Navigation with everything randomised and small updates, beside slopes."""

from __future__ import annotations

from itertools import product

from benchmarks.experiments import update_size
from benchmarks.experiments.navigation import RANDOMIZED
from benchmarks.suite.definition import Suite, Variant

WAYPOINTS, OBSTACLES = "quadrotor-waypoints", "quadrotor-obstacles"
UPDATES = (8_192, 16_384)
FINALISTS = {"ppo": 8_192, "hybrid-grpo": 8_192}
"""Steps per update among obstacles with the higher success with seed 0; they have five seeds."""
SLOPES = (
    *("--num-samples", "1", "--num-envs", "32", "--rollout-steps", "128", "--gae-lambda", "0.95"),
    *("--init-sigma", "0.3", "--learning-rate", "3e-3", "--update-epochs", "4", "--num-minibatches", "4"),
    *(*update_size.WIDE, "--total-steps", str(24 * 65_536)),
)
LONG = ("--branch-steps", "None", "--pathwise", "0.97")
SHORT = ("--branch-steps", "32", "--pathwise", "0.8", "--total-steps", str(72 * 65_536))
GRU = ("--memory", "gru", "--memory-size", "32", "--sequence-steps", "32")


def slopes(name: str, words: tuple[str, ...], seeds: tuple[int, ...]) -> Variant:
    """Slopes among obstacles."""
    return Variant(f"obstacles-{name}", "hybrid-grpo", (*SLOPES, *words, *RANDOMIZED), "slopes", (OBSTACLES,), seeds)


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
        slopes("slopes", LONG, (0, 1, 2)),
        slopes("short-slopes", SHORT, (0, 1, 2)),
        slopes("short-slopes-gru", (*SHORT, *GRU), (0,)),
    ),
    seeds=(0, 1, 2, 3, 4),
)
