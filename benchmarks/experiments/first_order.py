"""First-order Hybrid GRPO: slopes, siblings and archive roots against tuned PPO and Hybrid GRPO without slopes."""

from __future__ import annotations

from benchmarks.experiments.hover_update_size import options
from benchmarks.suite.definition import Suite, Variant

HOVER, RANDOMIZED, GUSTY = "quadrotor-hover", "quadrotor-hover-randomized", "quadrotor-hover-gusty"
WAYPOINTS, GATES, OBSTACLES = "quadrotor-waypoints", "quadrotor-gates", "quadrotor-obstacles"
TASKS = (HOVER, RANDOMIZED, GUSTY, WAYPOINTS, GATES, OBSTACLES)
WIDE = dict.fromkeys((GATES, OBSTACLES), ("--hidden-sizes", "128", "128"))
SLOPE_STEPS = {HOVER: 196_608} | dict.fromkeys(TASKS[1:], 393_216)
"""Simulator steps with slopes; the controls without them have four times as many, and hover its preset's."""
ROLLOUT = 128


def slopes(name: str, task: str, samples: int, pathwise: str, *words: str) -> Variant:
    """Slopes in branches of 128 steps, 4,096 simulator steps per update."""
    return Variant(
        f"{name}-{task.removeprefix('quadrotor-')}",
        "hybrid-grpo",
        (
            *("--num-samples", str(samples), "--num-envs", str(32 // samples), "--rollout-steps", str(ROLLOUT)),
            *("--pathwise", pathwise, "--gae-lambda", "1", "--init-sigma", "0.3", "--target-kl", "0.1"),
            *("--learning-rate", "3e-3", "--update-epochs", "4", "--num-minibatches", "4"),
            *("--total-steps", str(SLOPE_STEPS[task]), *WIDE.get(task, ()), *words),
        ),
        group=name,
        tasks=(task,),
    )


def control(name: str, algorithm: str, task: str, samples: int, update: int, rate: float, *words: str) -> Variant:
    """An algorithm without slopes, with the update size and learning rate that were best in update_size."""
    steps = 4 * SLOPE_STEPS[task] if task != HOVER else 5 * 65_536
    return Variant(
        f"{name}-{task.removeprefix('quadrotor-')}",
        algorithm,
        (*words, *WIDE.get(task, ()), "--total-steps", str(steps), *options(samples, 64, update, 5, rate)),
        group=name,
        tasks=(task,),
    )


SUITE = Suite(
    name="first-order",
    title="First-order Hybrid GRPO: slopes, siblings and archive roots",
    tasks=TASKS,
    variants=tuple(
        variant
        for task in TASKS
        for variant in (
            slopes("slope", task, 1, "1"),
            slopes("mix-N2", task, 2, "auto"),
            slopes("mix-N4", task, 4, "auto"),
            slopes("slope-archive", task, 1, "1", "--roots", "archive:0.3"),
        )
    ),
    seeds=(0, 1, 2),
)
