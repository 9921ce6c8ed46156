"""Runs of seconds that between them take every path that a training iteration has, for the tests of devices."""

from __future__ import annotations

from dataclasses import replace

from hgrpo_control.config.algorithms import GRPO, PPO, Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config

ITERATIONS, ENVS, STEPS = 2, 4, 4


def tiny(task: str, algorithm: Algorithm, **changes: object) -> Config:
    """Two iterations of 4 steps in 4 environments; `changes` are fields of the config."""
    config = Config(
        task=task,
        algorithm=algorithm,
        seed=3,
        total_steps=ITERATIONS * ENVS * STEPS * algorithm.num_samples,
        num_envs=ENVS,
        rollout_steps=STEPS,
        network=Network(hidden_sizes=(8,)),
        learning=Learning(update_epochs=2, num_minibatches=2),
        checkpoint_every=1,
    )
    return replace(config, **changes)  # type: ignore[arg-type]


_AMONG_ALL_ERRORS = {
    "mass": "0.3",
    "inertia": "0.3",
    "wind": "1",
    "gust": "4",
    "velocity_noise": "0.1",
    "attitude_noise": "0.1",
    "rate_bias": "0.1",
    "position_bias": "0.1",
    "rotor_lag": "0.3",
    "rotor_offset": "0.1",
    "observation_latency": "1",
    "action_latency": "2",
    "action_history": "2",
    "latency": "drawn",
}

VARIANTS: dict[str, Config] = {
    "hybrid, whole rollouts": tiny("quadrotor-hover", HybridGRPO(num_samples=3)),
    "hybrid, one step, split noise": tiny(
        "quadrotor-hover-gusty",
        HybridGRPO(num_samples=2, branch_steps=1, estimator="group_shrunk", sibling_noise="split"),
    ),
    "hybrid as printed, adaptive entropy": tiny(
        "quadrotor-gates",
        HybridGRPO(num_samples=2, branch_steps=2, estimator="paper", reward_transform="clip"),
        learning=Learning(update_epochs=2, num_minibatches=2, target_sigma=0.3, ent_coef=0.01, target_kl=0.01),
        task_options={"interface": "ctbr"},
    ),
    "ppo, scaled rewards": tiny(
        "quadrotor-track", PPO(reward_transform="scale"), task_options={"interface": "velocity"}
    ),
    "grpo, initial states": tiny(
        "quadrotor-pursuit",
        GRPO(num_samples=2, branch_steps=4, groups="initial_states", drop_zero_variance=True, reward_transform="tanh"),
    ),
    "grpo, reward to go": tiny(
        "quadrotor-hover", GRPO(num_samples=3, credit="reward_to_go", scale="batch", baseline="leave_one_out")
    ),
    "guided": tiny("quadrotor-hover-randomized", HybridGRPO(num_samples=4, branch_steps=2, guided_candidates=4)),
    "curriculum, rolling rewards": tiny(
        "quadrotor-waypoints",
        HybridGRPO(num_samples=2, reward_transform="rolling"),
        curriculum={"difficulty": "0:1@steps:0:100"},
    ),
    "obstacles, all errors, privileged critic": tiny(
        "quadrotor-obstacles",
        HybridGRPO(num_samples=2, sibling_noise="split"),
        network=Network(hidden_sizes=(8,), privileged_critic=True),
        task_options=_AMONG_ALL_ERRORS,
    ),
}
