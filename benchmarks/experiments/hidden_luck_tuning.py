"""The learner's settings for PPO and for Hybrid GRPO, searched over one grid."""

from __future__ import annotations

from itertools import product

from benchmarks.experiments.hover_update_size import WITHOUT_SLOPES
from benchmarks.suite.definition import Suite, Variant

TOTAL_STEPS = 32 * 65_536
# Both algorithms did best in the corner of the first grid, so it was extended there for both.
GRID = (*product((32, 64), (5, 10), (1e-3, 2e-3)), *product((64, 128), (5, 10), (4e-3,)), (128, 10, 2e-3))
ALGORITHMS = {
    "ppo": ("ppo", 1, ("--gae-lambda", "0.98", "--reward-transform", "identity")),
    "hybrid": (
        "hybrid-grpo",
        4,
        ("--gae-lambda", "1.0", "--estimator", "group", "--num-samples", "4", *WITHOUT_SLOPES),
    ),
}


def options(samples: int, rollout_steps: int, epochs: int, learning_rate: float) -> tuple[str, ...]:
    """Words of the learner's settings; 32,768 simulator steps per update, minibatches of 8,192 samples."""
    return (
        *("--total-steps", str(TOTAL_STEPS), "--num-envs", str(32_768 // rollout_steps // samples)),
        *("--rollout-steps", str(rollout_steps), "--update-epochs", str(epochs)),
        *("--learning-rate", str(learning_rate), "--num-minibatches", "4"),
    )


SUITE = Suite(
    name="hidden-luck-tuning",
    title="The learner's settings, searched over one grid",
    tasks=("quadrotor-hover-randomized",),
    variants=tuple(
        Variant(
            f"{name}-T{steps}-epochs{epochs}-lr{rate:g}",
            algorithm,
            (*words, *options(samples, steps, epochs, rate)),
            group=name,
        )
        for name, (algorithm, samples, words) in ALGORITHMS.items()
        for steps, epochs, rate in GRID
    ),
    seeds=(0, 1, 2),
)
