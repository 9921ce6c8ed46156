"""Drone navigation with everything randomised: PPO and Hybrid GRPO at equal simulator steps."""

from __future__ import annotations

from benchmarks.experiments.hover_update_size import WITHOUT_SLOPES
from benchmarks.suite.definition import Suite, Variant

TASKS = ("quadrotor-waypoints", "quadrotor-obstacles")
RANDOMIZED = (
    "--task-options",
    *("mass=0.2", "rotor_thrust=0.1", "inertia=0.2", "rotor_lag=0.3", "drag=0.5", "yaw_torque=0.2"),
    *("rotor_offset=0.05", "wind=0.3", "gust=0.3"),
)
STEPS = ("--total-steps", str(128 * 65_536))


HYBRID = (
    *(*WITHOUT_SLOPES, "--num-samples", "4", "--estimator", "group_shrunk", "--gae-lambda", "0.98"),
    *("--num-envs", "256", "--rollout-steps", "64", "--learning-rate", "1.5e-3"),
    *("--update-epochs", "5", "--num-minibatches", "8"),
)
"""What was the preset of obstacles before slopes; that of waypoints had lambda 1, and the stored runs have it."""


def ppo(gae_lambda: float) -> Variant:
    """The preset of PPO with another lambda.

    It has as many simulator steps and samples per update as the preset of Hybrid GRPO.
    """
    words = (*STEPS, "--gae-lambda", str(gae_lambda), *RANDOMIZED)
    return Variant(f"ppo-lambda{gae_lambda:g}", "ppo", words, group="PPO")


SUITE = Suite(
    name="navigation",
    title="Navigation with everything randomised",
    tasks=TASKS,
    variants=(
        ppo(0.95),
        ppo(1.0),
        Variant("hybrid-shrunk", "hybrid-grpo", (*STEPS, *HYBRID, *RANDOMIZED), group="Hybrid GRPO"),
    ),
    seeds=(0, 1, 2),
    episodes=200,
    measures=("success_rate", "return_mean"),
    comparisons=(("hybrid-shrunk", "ppo-lambda0.95"), ("hybrid-shrunk", "ppo-lambda1")),
)
