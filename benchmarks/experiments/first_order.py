"""First-order Hybrid GRPO: slopes, siblings and archive roots, beside PPO and Hybrid GRPO without slopes."""

from __future__ import annotations

from benchmarks.experiments import update_size
from benchmarks.suite.definition import Suite, Variant

HOVER, RANDOMIZED, GUSTY = "quadrotor-hover", "quadrotor-hover-randomized", "quadrotor-hover-gusty"
WAYPOINTS, GATES, OBSTACLES = "quadrotor-waypoints", "quadrotor-gates", "quadrotor-obstacles"
TASKS = (HOVER, RANDOMIZED, GUSTY, WAYPOINTS, GATES, OBSTACLES)
STEPS = {HOVER: 3 * 65_536, OBSTACLES: 12 * 65_536}
"""Simulator steps with slopes; 393,216 on the other tasks."""
CONTROLS = {
    RANDOMIZED: (("ppo", 8_192, 1.5e-3), ("hybrid-grpo", 8_192, 1.5e-3)),
    WAYPOINTS: (("ppo", 8_192, 1.5e-3), ("hybrid-grpo", 8_192, 1.5e-3)),
    GATES: (("ppo", 16_384, 1.5e-3), ("hybrid-grpo", 16_384, 3e-3)),
    OBSTACLES: (("ppo", 16_384, 1.5e-3), ("hybrid-grpo", 16_384, 3e-3)),
}
"""Algorithm, steps per update and learning rate without slopes, from update_size; its steps are the budget."""


def slopes(name: str, task: str, samples: int, pathwise: str, *words: str) -> Variant:
    """Slopes in branches of 128 steps, 4,096 simulator steps per update."""
    return Variant(
        f"{task.removeprefix('quadrotor-')}-{name}",
        "hybrid-grpo",
        (
            *("--num-samples", str(samples), "--num-envs", str(32 // samples), "--rollout-steps", "128"),
            *("--pathwise", pathwise, "--gae-lambda", "1", "--init-sigma", "0.3", "--learning-rate", "3e-3"),
            *("--update-epochs", "4", "--num-minibatches", "4", "--total-steps", str(STEPS.get(task, 6 * 65_536))),
            *(*update_size.NETWORK.get(task, ()), *words),
        ),
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
            slopes("slopes", task, 1, "1"),
            slopes("slopes-branches-of-32", task, 1, "1", "--branch-steps", "32"),
            slopes("mix", task, 1, "auto"),
            slopes("mix-N2", task, 2, "auto"),
            slopes("mix-N4", task, 4, "auto"),
            slopes("slopes-archive", task, 1, "1", "--roots", "archive:0.3"),
            *(update_size.variant(name, task, update, rate) for name, update, rate in CONTROLS.get(task, ())),
        )
    ),
    seeds=(0, 1, 2, 3, 4),
)
