"""The runs that are measured in one process and in two."""

from __future__ import annotations

import dataclasses

from hgrpo_control.config.run import Config
from hgrpo_control.presets.quadrotor import preset

CASES: dict[str, tuple[str, str, dict[str, int]]] = {
    "hover": ("hybrid-grpo", "quadrotor-hover", {}),
    "obstacles": ("hybrid-grpo", "quadrotor-obstacles", {}),
    "HalfCheetah": ("ppo", "HalfCheetah-v5", {}),
    "Gymnasium": ("ppo", "gymnasium/HalfCheetah-v5", {"num_envs": 16, "rollout_steps": 128}),
}
"""Algorithm and task of each preset, and what is changed in it."""
ITERATIONS = {"hover": 60, "obstacles": 30, "HalfCheetah": 4, "Gymnasium": 8}
"""Of a run whose speed is measured."""


def config_of(name: str) -> Config:
    """Settings of a case."""
    algorithm, task, changes = CASES[name]
    return dataclasses.replace(preset(algorithm, task), **changes)  # type: ignore[arg-type]
