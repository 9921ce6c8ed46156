"""MuJoCo locomotion: PPO, Hybrid GRPO and stable-baselines3's PPO at equal simulator steps."""

from __future__ import annotations

from suites.definition import Suite, Variant

TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Ant-v5", "InvertedDoublePendulum-v5")
STEPS = ("--total-steps", "300000")
# PPO has its preset. Hybrid GRPO gets the same recipe with a quarter of the executed steps per update, so that as many
# simulator steps (4 roots x 4 samples x 128 steps = 2,048) stand behind each.
RECIPE = (
    *("--num-envs", "4", "--num-samples", "4", "--rollout-steps", "128", "--gamma", "0.99", "--gae-lambda", "0.95"),
    *("--reward-transform", "scale", "--learning-rate", "3e-4", "--lr-schedule", "linear"),
    *("--update-epochs", "10", "--clip-coef", "0.2"),
)
# Minibatches of 64 rows: 512 observations shared by four actions each, or 2,048 of their own.
ONE_STEP = (*RECIPE, "--branch-steps", "1", "--estimator", "per_sample", "--num-minibatches", "8")
WHOLE_ROLLOUT = (*RECIPE, "--branch-steps", "None", "--estimator", "group_shrunk", "--num-minibatches", "32")

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
