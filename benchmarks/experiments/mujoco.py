"""MuJoCo locomotion: PPO, Hybrid GRPO and stable-baselines3's PPO at equal simulator steps."""

from __future__ import annotations

from benchmarks.suite.definition import Suite, Variant

TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "InvertedDoublePendulum-v5")
STEPS = ("--total-steps", "300000")
# Both start from the preset of Hybrid GRPO, which has as many simulator steps, samples and passes per update as PPO's.
ONE_STEP = ("--branch-steps", "1", "--estimator", "per_sample")
WHOLE_ROLLOUT = ("--branch-steps", "None", "--estimator", "group_shrunk")

SUITE = Suite(
    name="mujoco",
    title="MuJoCo locomotion at equal simulator steps",
    tasks=TASKS,
    variants=(
        Variant("ppo", "ppo", STEPS, group="PPO"),
        Variant("hybrid-one-step", "hybrid-grpo", (*STEPS, *ONE_STEP), group="Hybrid GRPO"),
        Variant("hybrid-siblings", "hybrid-grpo", (*STEPS, *WHOLE_ROLLOUT), group="Hybrid GRPO"),
        Variant("sb3-ppo", "ppo", STEPS, group="PPO of stable-baselines3", learner="stable-baselines3"),
    ),
    seeds=(0, 1, 2),
    episodes=20,
    measures=("return_mean",),
    comparisons=(
        ("ppo", "sb3-ppo"),
        ("hybrid-one-step", "ppo"),
        ("hybrid-siblings", "ppo"),
        ("hybrid-siblings", "hybrid-one-step"),
    ),
)
