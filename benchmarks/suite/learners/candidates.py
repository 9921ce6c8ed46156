"""Random settings for tuning: one grid in terms that this project and stable-baselines3's PPO share."""

from __future__ import annotations

import dataclasses
import random
from typing import Any, Literal, NamedTuple

from benchmarks.suite.learners.stable_baselines3_settings import ZooSettings
from hgrpo_control.config.run import Config


class Candidate(NamedTuple):
    """Settings that a trial changes."""

    steps_per_update: int
    """Simulator steps between two updates."""
    rollout_steps: int
    """Control steps of a rollout."""
    minibatch: int
    """Rows of a minibatch."""
    epochs: int
    """Passes over a batch."""
    learning_rate: float
    schedule: Literal["constant", "linear"]
    """Of the learning rate; linear goes to zero at the end of the run."""
    gae_lambda: float


GRID: dict[str, tuple[Any, ...]] = {
    "steps_per_update": (4096, 8192, 16384, 32768),
    "rollout_steps": (32, 64),
    "minibatch": (512, 1024, 2048),
    "epochs": (3, 5, 10),
    "learning_rate": (7e-4, 1.5e-3, 3e-3),
    "schedule": ("constant", "linear"),
    "gae_lambda": (0.95, 0.98, 1.0),
}
"""Values of each field of a candidate."""


def draw_candidates(count: int) -> list[Candidate]:
    """Random candidates, the same ones in every call."""
    generator = random.Random(0)
    return [Candidate(**{name: generator.choice(values) for name, values in GRID.items()}) for _ in range(count)]


def ours_with(config: Config, candidate: Candidate) -> Config:
    """A config of PPO or Hybrid GRPO with the settings of a candidate."""
    algorithm: Any = config.algorithm
    learning = dataclasses.replace(
        config.learning,
        learning_rate=candidate.learning_rate,
        lr_schedule=candidate.schedule,
        update_epochs=candidate.epochs,
        num_minibatches=candidate.steps_per_update // candidate.minibatch,
    )
    return dataclasses.replace(
        config,
        algorithm=dataclasses.replace(algorithm, gae_lambda=candidate.gae_lambda),
        num_envs=candidate.steps_per_update // (candidate.rollout_steps * algorithm.num_samples),
        rollout_steps=candidate.rollout_steps,
        learning=learning,
    )


def stable_baselines3_with(settings: ZooSettings, candidate: Candidate) -> ZooSettings:
    """Settings of stable-baselines3's PPO with those of a candidate."""
    return dataclasses.replace(
        settings,
        n_envs=candidate.steps_per_update // candidate.rollout_steps,
        n_steps=candidate.rollout_steps,
        batch_size=candidate.minibatch,
        n_epochs=candidate.epochs,
        learning_rate=candidate.learning_rate,
        lr_schedule=candidate.schedule,
        gae_lambda=candidate.gae_lambda,
    )
