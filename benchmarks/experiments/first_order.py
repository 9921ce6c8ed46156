"""First-order Hybrid GRPO: slopes, siblings and archive roots, beside PPO and Hybrid GRPO without slopes."""

from __future__ import annotations

from benchmarks.experiments import first_order_tuning, update_size
from benchmarks.experiments.hover_update_size import options
from benchmarks.suite.definition import Suite, Variant

HOVER, RANDOMIZED, GUSTY = "quadrotor-hover", "quadrotor-hover-randomized", "quadrotor-hover-gusty"
WAYPOINTS, GATES, OBSTACLES = "quadrotor-waypoints", "quadrotor-gates", "quadrotor-obstacles"
TASKS = (HOVER, RANDOMIZED, GUSTY, WAYPOINTS, GATES, OBSTACLES)
STEPS = {HOVER: 3 * 65_536, GUSTY: 15 * 65_536, OBSTACLES: 72 * 65_536}
"""Simulator steps with slopes; 393,216 on the other tasks."""
LAMBDA = {GUSTY: "0.95", OBSTACLES: "0.95"}
"""Lambda of the critic's targets with slopes; 1 on the other tasks."""
SHARE = {OBSTACLES: "0.8"}
"""Share of slopes in what is called `slopes`; 1 on the other tasks: a collision has no slope."""
OTHER = {HOVER: ("--estimator", "group_shrunk"), GUSTY: ("--memory", "none"), OBSTACLES: ("--branch-steps", "128")}
"""More words of a task: in gusts the preset has a memory, and among obstacles short branches."""
CONTROLS: dict[str, dict[str, tuple[float, int, int]]] = {
    RANDOMIZED: {"ppo": (0.98, 5, 64), "hybrid-grpo": (0.95, 5, 128)},
    GUSTY: {"ppo": (0.95, 5, 128), "hybrid-grpo": (0.95, 5, 128)},
    WAYPOINTS: {"ppo": (0.95, 5, 64), "hybrid-grpo": (1.0, 5, 64)},
    GATES: {"ppo": (0.95, 5, 128), "hybrid-grpo": (1.0, 5, 64)},
    OBSTACLES: {"ppo": (0.95, 5, 64), "hybrid-grpo": (1.0, 5, 64)},
}
"""Lambda, epochs and rollout length without slopes: the best of first_order_tuning with seed 0.

In gusts every setting of Hybrid GRPO has 0; it has that of the randomised hover.
"""
PRESET = {OBSTACLES: "slopes-branches-of-32"}
"""Variant with the settings of the preset; it has every seed."""
EVERY_SEED, SOME_SEEDS = (0, 1, 2, 3, 4), (0, 1, 2)


def words(samples: int, pathwise: str, gae_lambda: str, steps: int) -> tuple[str, ...]:
    """Options of slopes, 4,096 simulator steps per update."""
    return (
        *("--num-samples", str(samples), "--num-envs", str(32 // samples), "--rollout-steps", "128"),
        *("--pathwise", pathwise, "--gae-lambda", gae_lambda, "--init-sigma", "0.3", "--learning-rate", "3e-3"),
        *("--update-epochs", "4", "--num-minibatches", "4", "--total-steps", str(steps)),
    )


def slopes(name: str, task: str, samples: int, pathwise: str, *more: str) -> Variant:
    """Slopes on one task, in branches of 128 steps unless `more` says another length."""
    return Variant(
        f"{task.removeprefix('quadrotor-')}-{name}",
        "hybrid-grpo",
        (
            *words(samples, pathwise, LAMBDA.get(task, "1"), STEPS.get(task, 6 * 65_536)),
            *(*update_size.NETWORK.get(task, ()), *OTHER.get(task, ()), *more),
        ),
        group=name,
        tasks=(task,),
        seeds=EVERY_SEED if name == PRESET.get(task, "slopes") or task in (HOVER, RANDOMIZED) else SOME_SEEDS,
    )


def controls(task: str) -> tuple[Variant, ...]:
    """PPO and Hybrid GRPO without slopes; hover has the finalists of its own grid."""
    if task == HOVER:
        return tuple(
            Variant(f"hover-{name}", name, (*update_size.ALGORITHMS[name][2], *words), group=name, tasks=(task,))
            for name, words in (
                ("ppo", ("--gae-lambda", "1", "--total-steps", "327680", *options(1, 64, 8_192, 5, 1.5e-3))),
                ("hybrid-grpo", ("--gae-lambda", "1", "--total-steps", "327680", *options(4, 64, 8_192, 5, 1.5e-3))),
            )
        )
    return tuple(first_order_tuning.variant(name, task, *best) for name, best in CONTROLS[task].items())


SUITE = Suite(
    name="first-order",
    title="First-order Hybrid GRPO: slopes, siblings and archive roots",
    tasks=TASKS,
    variants=tuple(
        variant
        for task in TASKS
        for variant in (
            slopes("slopes", task, 1, SHARE.get(task, "1")),
            slopes("slopes-branches-of-32", task, 1, SHARE.get(task, "1"), "--branch-steps", "32"),
            slopes("mix", task, 1, "auto"),
            slopes("mix-N2", task, 2, "auto"),
            slopes("mix-N4", task, 4, "auto"),
            slopes("slopes-archive", task, 1, SHARE.get(task, "1"), "--roots", "archive:0.3"),
            *controls(task),
        )
    ),
    seeds=EVERY_SEED,
)
