"""What `hgrpo diagnose` measures; importable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from hgrpo_control.config.divisors import divisors
from hgrpo_control.config.run import ConfigError
from hgrpo_fields import Range, check

REFERENCE_ROLLOUTS = 16
FEWEST_REPLICATES = 4


@dataclass(frozen=True)
class DiagnoseSettings:
    """Which estimators are measured, and how exactly."""

    seed: Annotated[int, Range(least=0)] = 0
    """Seed of the roots and of every rollout."""
    roots: Annotated[int, Range(least=1)] = 64
    """E, states that every rollout starts from."""
    steps: Annotated[int, Range(least=1)] = 32
    """T, steps of a rollout whose policy gradient is taken."""
    samples: Annotated[tuple[int, ...], Range(least=2)] = (2, 4, 8, 16)
    """N of GRPO and Hybrid GRPO."""
    branch_steps: Annotated[tuple[int, ...], Range(least=1)] = (1, 4, 16, 32)
    """n of GRPO and Hybrid GRPO; each must divide steps."""
    lambdas: Annotated[tuple[float, ...], Range(least=0, most=1)] = (0.0, 0.8, 0.9, 0.95, 0.98, 1.0)
    """gae_lambda of PPO."""
    gae_lambda: Annotated[float | None, Range(least=0, most=1)] = None
    """gae_lambda of Hybrid GRPO; that of the run, or 1 if it has none."""
    budget: int = 524_288
    """Simulator steps for each N and n; the rollouts that fit are the replicates."""
    reference_branches: int = 256
    """Branches per root behind the reference gradient; a multiple of 16."""
    horizon: Annotated[int | None, Range(least=1)] = None
    """H, steps of the reference beyond T; unless given, those after which gamma^H is below 1 %, or the rest of the
    time limit if that is shorter."""

    def __post_init__(self) -> None:
        check(self, ConfigError)
        for steps in self.branch_steps:
            if self.steps % steps:
                allowed = ", ".join(map(str, divisors(self.steps)))
                raise ConfigError(f"branch_steps {steps} does not divide steps {self.steps}; allowed: {allowed}")
        if self.reference_branches % REFERENCE_ROLLOUTS or self.reference_branches < 2 * REFERENCE_ROLLOUTS:
            raise ConfigError(
                f"reference_branches must be a multiple of {REFERENCE_ROLLOUTS} and at least "
                f"{2 * REFERENCE_ROLLOUTS}; given {self.reference_branches}"
            )
        largest = max((1, *self.samples))
        if self.budget < FEWEST_REPLICATES * self.steps * self.roots * largest:
            steps = self.steps * self.roots * largest
            raise ConfigError(
                f"budget must hold {FEWEST_REPLICATES} replicates of {self.steps} steps x {self.roots} roots x "
                f"{largest} samples, "
                f"{FEWEST_REPLICATES * steps} simulator steps; given {self.budget}"
            )

    def replicates(self, num_samples: int) -> int:
        """R, rollouts of T x E x N simulator steps within the budget, at least 4: N may be a run's own."""
        return max(FEWEST_REPLICATES, self.budget // (self.steps * self.roots * num_samples))

    def horizon_for(self, gamma: float, max_episode_steps: int) -> int:
        """H for a discount and a time limit; raises ConfigError if the rollout leaves no room for it."""
        room = max_episode_steps - self.steps
        if room < 1:
            raise ConfigError(f"steps must be below the time limit of {max_episode_steps}; given {self.steps}")
        if self.horizon is None:
            return min(room, max(1, math.ceil(math.log(0.01) / math.log(gamma)))) if 0.0 < gamma < 1.0 else room
        if not 1 <= self.horizon <= room:
            raise ConfigError(
                f"horizon must lie in [1, {room}], the time limit of {max_episode_steps} less steps {self.steps}; "
                f"given {self.horizon}"
            )
        return self.horizon
