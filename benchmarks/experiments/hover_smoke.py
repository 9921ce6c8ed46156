"""A suite of seconds, to check that suites work.

PPO and Hybrid GRPO train on quadrotor-hover for 65,536 steps.
"""

from __future__ import annotations

from benchmarks.suite.definition import Suite, Variant

_SMALL = ("--total-steps", "65536", "--rollout-steps", "32", "--checkpoint-every", "1", "--update-epochs", "2")

SUITE = Suite(
    name="hover_smoke",
    title="Smoke test: two algorithms on quadrotor-hover, far too short to learn it",
    tasks=("quadrotor-hover",),
    variants=(
        Variant("ppo", "ppo", (*_SMALL, "--num-envs", "64"), group="PPO"),
        Variant("hybrid", "hybrid-grpo", (*_SMALL, "--num-envs", "16", "--num-samples", "4"), group="Hybrid GRPO"),
    ),
    seeds=(0, 1),
    episodes=20,
    comparisons=(("hybrid", "ppo"),),
)
