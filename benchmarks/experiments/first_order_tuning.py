"""Lambda, epochs and rollout length of PPO and Hybrid GRPO without slopes, in one grid."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from benchmarks.experiments import update_size
from benchmarks.suite.definition import Suite, Variant

RANDOMIZED, GUSTY = "quadrotor-hover-randomized", "quadrotor-hover-gusty"
UPDATES = {
    RANDOMIZED: {"ppo": (8_192, 1.5e-3), "hybrid-grpo": (8_192, 1.5e-3)},
    GUSTY: {"ppo": (8_192, 1.5e-3), "hybrid-grpo": (8_192, 1.5e-3)},
    "quadrotor-waypoints": {"ppo": (16_384, 3e-3), "hybrid-grpo": (16_384, 3e-3)},
    "quadrotor-gates": {"ppo": (16_384, 1.5e-3), "hybrid-grpo": (16_384, 1.5e-3)},
    "quadrotor-obstacles": {"ppo": (16_384, 3e-3), "hybrid-grpo": (16_384, 1.5e-3)},
}
"""Steps per update and learning rate of each algorithm: the best of update_size or within .015 of it.

Gusts have those of the randomised hover.
"""
LAMBDAS = {"ppo": (0.95, 0.98), "hybrid-grpo": (0.95, 1.0)}
EPOCHS = (5, 10)
ROLLOUTS = (64, 128)


def variant(algorithm: str, task: str, gae_lambda: float, epochs: int, rollout: int) -> Variant:
    """One setting of the grid on one task."""
    update, rate = UPDATES[task][algorithm]
    name = f"lambda{gae_lambda:g}-epochs{epochs}-steps{rollout}"
    if task != GUSTY:
        return update_size.setting(algorithm, task, name, update, rate, gae_lambda, epochs, rollout)
    as_randomized = update_size.setting(algorithm, RANDOMIZED, name, update, rate, gae_lambda, epochs, rollout)
    return replace(as_randomized, name=f"hover-gusty-{algorithm}-{name}", tasks=(task,))


SUITE = Suite(
    name="first-order-tuning",
    title="Lambda, epochs and rollout length without slopes",
    tasks=tuple(UPDATES),
    variants=tuple(
        variant(algorithm, task, gae_lambda, epochs, rollout)
        for task, algorithms in UPDATES.items()
        for algorithm in algorithms
        for gae_lambda, epochs, rollout in product(LAMBDAS[algorithm], EPOCHS, ROLLOUTS)
    ),
    seeds=(0,),
)
