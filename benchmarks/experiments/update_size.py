"""Simulator steps per update on the quadrotor's other tasks, in one grid for the three algorithms."""

from __future__ import annotations

from itertools import product

from benchmarks.experiments.hover_update_size import WITHOUT_SLOPES, options
from benchmarks.suite.definition import Suite, Variant

UPDATES = (8_192, 16_384, 32_768, 65_536)
RATES = (1.5e-3, 3e-3)
EPOCHS = 5
TOTAL_STEPS = {
    "quadrotor-hover-randomized": 16 * 65_536,
    "quadrotor-waypoints": 16 * 65_536,
    "quadrotor-gates": 32 * 65_536,
    "quadrotor-obstacles": 32 * 65_536,
    "quadrotor-track": 16 * 65_536,
    "quadrotor-pursuit": 32 * 65_536,
}
LAMBDA = {
    "quadrotor-hover-randomized": {"ppo": 0.98, "hybrid-grpo": 1.0},
    "quadrotor-waypoints": {"ppo": 0.95, "hybrid-grpo": 1.0},
    "quadrotor-gates": {"ppo": 0.95, "hybrid-grpo": 0.95},
    "quadrotor-obstacles": {"ppo": 0.95, "hybrid-grpo": 0.98},
    "quadrotor-track": {"ppo": 0.95, "hybrid-grpo": 0.95},
    "quadrotor-pursuit": {"ppo": 0.95, "hybrid-grpo": 0.95},
}
"""Lambda of each algorithm, from the former tables of hidden luck and navigation and from the presets; not tuned for
track and pursuit."""
WIDE = ("--hidden-sizes", "128", "128")
NETWORK = {"quadrotor-gates": WIDE, "quadrotor-obstacles": WIDE}
ALGORITHMS = {
    "ppo": (1, 64, ("--reward-transform", "identity")),
    "hybrid-grpo": (4, 64, ("--estimator", "group_shrunk", "--num-samples", "4", *WITHOUT_SLOPES)),
    "grpo": (8, 128, ("--num-samples", "8")),
}
"""Samples per root, rollout steps and options of each algorithm."""


def variant(algorithm: str, task: str, update: int, rate: float) -> Variant:
    """One setting of the grid on one task."""
    rollout, gae_lambda = ALGORITHMS[algorithm][1], LAMBDA[task].get(algorithm)
    return setting(algorithm, task, f"{update // 1024}k-lr{rate:g}", update, rate, gae_lambda, EPOCHS, rollout)


def setting(
    algorithm: str,
    task: str,
    name: str,
    update: int,
    rate: float,
    gae_lambda: float | None,
    epochs: int,
    rollout: int,
) -> Variant:
    """A setting of one algorithm on one task, with its layers and total of steps.

    Args:
        algorithm: Its name.
        task: Name of the task.
        name: What the name of the variant ends in.
        update: Simulator steps per update.
        rate: Learning rate.
        gae_lambda: Lambda; None takes that of the preset.
        epochs: Passes over each batch.
        rollout: Steps per root between two updates.
    """
    samples, _, words = ALGORITHMS[algorithm]
    gae = () if gae_lambda is None else ("--gae-lambda", str(gae_lambda))
    settings = options(samples, rollout, update, epochs, rate)
    return Variant(
        f"{task.removeprefix('quadrotor-')}-{algorithm}-{name}",
        algorithm,
        (*words, *gae, *NETWORK.get(task, ()), "--total-steps", str(TOTAL_STEPS[task]), *settings),
        group=algorithm,
        tasks=(task,),
    )


SUITE = Suite(
    name="update-size",
    title="Simulator steps per update on the quadrotor's other tasks",
    tasks=tuple(TOTAL_STEPS),
    variants=tuple(
        variant(algorithm, task, update, rate)
        for task in TOTAL_STEPS
        for algorithm, rates in (("hybrid-grpo", RATES), ("ppo", RATES), ("grpo", RATES[:1]))
        for update, rate in product(UPDATES, rates)
    ),
    seeds=(0,),
)
