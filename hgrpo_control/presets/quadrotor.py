"""Presets of each algorithm and task, chosen by measurement."""

from __future__ import annotations

import dataclasses
from typing import Literal

from hgrpo_control.config.algorithms import ALGORITHMS, GRPO, PPO, HybridGRPO
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.presets import aviaries, mujoco
from hgrpo_errors import nearest
from robots.catalogue import MUJOCO_TASKS
from robots.registry import UnknownTaskError, require


def preset(algorithm: str, task: str) -> Config:
    """Default settings of `hgrpo train ALGORITHM TASK`; a task without a preset takes general ones.

    Raises:
        ConfigError: The algorithm or the task is unknown.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"unknown algorithm {algorithm!r}; {nearest(algorithm, tuple(ALGORITHMS))}")
    try:
        require(task)
    except UnknownTaskError as error:
        raise ConfigError(str(error)) from error
    if algorithm in _SETTINGS.get(task, {}):
        return dataclasses.replace(_SETTINGS[task][algorithm], task=task)
    if task in MUJOCO_TASKS or task.startswith(("gymnasium/", "gpd/")):  # slow to step, so few environments
        return dataclasses.replace(mujoco.SPECIAL.get((algorithm, task), mujoco.ON_MUJOCO[algorithm]), task=task)
    return Config(task=task, algorithm=ALGORITHMS[algorithm]())


# Without slopes. The steps per update of PPO and Hybrid GRPO are the best of one grid, docs/results/hover.md.
_HOVER = Config(
    task="quadrotor-hover",
    algorithm=HybridGRPO(num_samples=4, gae_lambda=1.0, estimator="group_shrunk"),
    total_steps=40 * 8_192,
    num_envs=32,
    rollout_steps=64,
    network=Network(hidden_sizes=(64, 64)),
    learning=Learning(learning_rate=1.5e-3, update_epochs=5, num_minibatches=8),
)

# Updates of 65,536 steps, for tasks without a grid of smaller ones, and for GRPO: it does not learn to hover with
# smaller ones, and elsewhere its seeds differ much with them (docs/results/first-order.md).
_LARGE_UPDATES: dict[str, Config] = {
    "hybrid-grpo": dataclasses.replace(_HOVER, num_envs=256),
    "ppo": dataclasses.replace(_HOVER, algorithm=PPO(gae_lambda=1.0), num_envs=1024),
    "grpo": dataclasses.replace(
        _HOVER, algorithm=GRPO(num_samples=8), num_envs=64, rollout_steps=128, total_steps=64 * 65_536
    ),
}


def _with_slopes(
    total_steps: int,
    hidden_sizes: tuple[int, ...],
    gae_lambda: float = 1.0,
    share: str = "1",
    memory: Literal["none", "gru"] = "none",
    num_envs: int = 32,
    rollout_steps: int = 128,
    branch_steps: int | None = None,
    min_sigma: float = Network.min_sigma,
) -> Config:
    """Hybrid GRPO with the slopes of one branch per root, long unless told: docs/results/first-order.md.

    A GRU has 32 units and is trained over sequences of 32 steps: docs/results/memory.md.
    """
    sequence_steps = 32 if memory == "gru" else None
    units = 32 if memory == "gru" else Network.memory_size
    network = Network(hidden_sizes=hidden_sizes, init_sigma=0.3, min_sigma=min_sigma, memory=memory, memory_size=units)
    return Config(
        task="quadrotor-hover",
        algorithm=HybridGRPO(num_samples=1, branch_steps=branch_steps, gae_lambda=gae_lambda, pathwise=share),
        total_steps=total_steps,
        num_envs=num_envs,
        rollout_steps=rollout_steps,
        network=network,
        learning=Learning(learning_rate=3e-3, update_epochs=4, num_minibatches=4, sequence_steps=sequence_steps),
    )


_ON_HOVER: dict[str, Config] = {
    "hybrid-grpo": _with_slopes(2 * 65_536, (64, 64), num_envs=64, rollout_steps=64),
    "ppo": dataclasses.replace(_LARGE_UPDATES["ppo"], num_envs=128),
    "grpo": _LARGE_UPDATES["grpo"],
}


# Smaller updates without slopes: the best of one grid, docs/results/update-size/report.md.
_SMALL_UPDATES = dataclasses.replace(_ON_HOVER["ppo"], algorithm=PPO(gae_lambda=0.98), total_steps=16 * 65_536)
_ON_HIDDEN_LUCK: dict[str, Config] = {
    "hybrid-grpo": _with_slopes(12 * 65_536, (64, 64)),
    "ppo": _SMALL_UPDATES,
    "grpo": dataclasses.replace(
        _LARGE_UPDATES["grpo"],
        num_envs=32,
        learning=Learning(learning_rate=4e-3, update_epochs=5, num_minibatches=4),
    ),
}

_IN_GUSTS = _ON_HIDDEN_LUCK | {
    "hybrid-grpo": _with_slopes(15 * 65_536, (64, 64), gae_lambda=0.95, memory="gru"),
    "ppo": dataclasses.replace(_SMALL_UPDATES, total_steps=32 * 65_536),
}

# The settings of hover with twice as many steps; not tuned for these tasks.
_ON_NAVIGATION: dict[str, Config] = {
    algorithm: dataclasses.replace(config, total_steps=128 * 65_536) for algorithm, config in _LARGE_UPDATES.items()
}


_BETWEEN_WAYPOINTS = _ON_NAVIGATION | {
    "hybrid-grpo": dataclasses.replace(
        _HOVER,
        total_steps=16 * 65_536,
        num_envs=64,
        learning=Learning(learning_rate=3e-3, update_epochs=5, num_minibatches=8),
    ),
    "ppo": dataclasses.replace(
        _SMALL_UPDATES,
        algorithm=PPO(gae_lambda=0.95),
        num_envs=256,
        learning=Learning(learning_rate=3e-3, update_epochs=5, num_minibatches=8),
    ),
    "grpo": dataclasses.replace(_LARGE_UPDATES["grpo"], num_envs=16, total_steps=32 * 65_536),
}


def _wider(gae_lambda: float, total_steps: int) -> dict[str, Config]:
    """The settings of hover with two layers of 128 units, and another lambda for Hybrid GRPO."""
    wider = {
        algorithm: dataclasses.replace(config, total_steps=total_steps, network=Network(hidden_sizes=(128, 128)))
        for algorithm, config in _LARGE_UPDATES.items()
    }
    hybrid = HybridGRPO(num_samples=4, gae_lambda=gae_lambda, estimator="group_shrunk")
    return wider | {"hybrid-grpo": dataclasses.replace(wider["hybrid-grpo"], algorithm=hybrid)}


# Two layers of 64 units are too small for gates and obstacles: docs/guides/tasks.md.
_THROUGH_GATES = _wider(0.95, 128 * 65_536) | {
    "hybrid-grpo": _with_slopes(6 * 65_536, (128, 128)),
    "ppo": dataclasses.replace(
        _SMALL_UPDATES,
        algorithm=PPO(gae_lambda=0.95),
        total_steps=32 * 65_536,
        num_envs=256,
        network=Network(hidden_sizes=(128, 128)),
    ),
}
# Without slopes not tuned. Noise that stays shows the policy what goes wrong on rare airframes: docs/results/memory.md.
_ON_ANY_AIRFRAME = _ON_HIDDEN_LUCK | {
    "hybrid-grpo": _with_slopes(180 * 65_536, (64, 64), memory="gru", num_envs=64, min_sigma=0.12),
    "ppo": dataclasses.replace(_SMALL_UPDATES, total_steps=256 * 65_536),
}
# A collision has no slope, so a part of the gradient is the score: docs/results/first-order.md.
_AMONG_OBSTACLES = _wider(0.98, 256 * 65_536) | {
    "hybrid-grpo": _with_slopes(72 * 65_536, (128, 128), gae_lambda=0.95, share="0.8", branch_steps=32)
}

# PPO with updates of 16,384 steps, the best of one grid: docs/results/update-size/report.md.
_PPO_16K = dataclasses.replace(_SMALL_UPDATES, algorithm=PPO(gae_lambda=0.95), num_envs=256)

# Facing the target is learned late: docs/results/first-order.md.
_IN_PURSUIT = _ON_NAVIGATION | {
    "hybrid-grpo": _with_slopes(48 * 65_536, (64, 64), share="0.97"),
    "ppo": dataclasses.replace(
        _PPO_16K,
        total_steps=64 * 65_536,
        learning=Learning(learning_rate=3e-3, update_epochs=5, num_minibatches=8),
    ),
}

_ON_ANY_TRACK = _ON_NAVIGATION | {
    "hybrid-grpo": _with_slopes(90 * 65_536, (64, 64), memory="gru", num_envs=64, min_sigma=0.12)
}
_ON_TRACK = _ON_NAVIGATION | {"hybrid-grpo": _with_slopes(6 * 65_536, (64, 64)), "ppo": _PPO_16K}

_SETTINGS: dict[str, dict[str, Config]] = {
    "quadrotor-hover": _ON_HOVER,
    "quadrotor-hover-randomized": _ON_HIDDEN_LUCK,
    "quadrotor-hover-gusty": _IN_GUSTS,
    "quadrotor-waypoints": _BETWEEN_WAYPOINTS,
    "quadrotor-gates": _THROUGH_GATES,
    "quadrotor-any": _ON_ANY_AIRFRAME,
    "quadrotor-any-track": _ON_ANY_TRACK,
    "quadrotor-track": _ON_TRACK,
    "quadrotor-obstacles": _AMONG_OBSTACLES,
    "quadrotor-pursuit": _IN_PURSUIT,
    **dict.fromkeys(aviaries.HOVER_TASKS, aviaries.ON_HOVER_AVIARIES),
}
