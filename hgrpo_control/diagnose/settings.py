"""What `hgrpo diagnose` measures; importable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from hgrpo_control.config.argument import Argument
from hgrpo_control.config.divisors import divisors
from hgrpo_control.config.pathwise import PathwiseSettings
from hgrpo_control.config.run import ConfigError
from hgrpo_fields import Range, check

REFERENCE_ROLLOUTS = 16
FEWEST_REPLICATES = 4


@dataclass(frozen=True)
class DiagnoseSettings:
    """Estimators to measure, and the size of the measurement."""

    seed: Annotated[int, Range(least=0)] = 0
    """Seed of the roots and of every rollout."""
    roots: Annotated[int, Range(least=1)] = 64
    """Number of states that every rollout starts from, E."""
    steps: Annotated[int, Range(least=1)] = 32
    """Steps of the rollouts whose policy gradient is taken, T."""
    samples: Annotated[tuple[int, ...], Range(least=1)] = (2, 4, 8, 16)
    """Numbers of branches N of GRPO, from 2 on, of Hybrid GRPO and of slopes."""
    branch_steps: Annotated[tuple[int, ...], Range(least=1)] = (1, 4, 16, 32)
    """Steps per branch n of GRPO, Hybrid GRPO and slopes, divisors of steps."""
    shares: Annotated[tuple[str, ...], Argument("off|auto|SHARE")] = ("auto", "0.5", "0.9", "0.97", "1")
    """Shares of slopes, as for --pathwise, where the simulator is differentiable; off adds no row."""
    lambdas: Annotated[tuple[float, ...], Range(least=0, most=1)] = (0.0, 0.8, 0.9, 0.95, 0.98, 1.0)
    """Values of gae_lambda of PPO."""
    gae_lambda: Annotated[float | None, Range(least=0, most=1)] = None
    """Value of gae_lambda of Hybrid GRPO; None is that of the run, or 1."""
    budget: int = 524_288
    """Simulator steps for each pair of N and n; it sets the number of replicates."""
    reference_branches: int = 256
    """Branches per root of the reference gradient, a multiple of 16."""
    horizon: Annotated[int | None, Range(least=1)] = None
    """Steps H of the reference beyond T; None ends where gamma^H is below 1 % or at the time limit."""

    def __post_init__(self) -> None:
        check(self, ConfigError)
        for share in self.shares:
            problem = PathwiseSettings(pathwise=share).pathwise_problem()
            if problem is not None:
                raise ConfigError(problem.replace("pathwise", "shares", 1))
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
        """R: rollouts of T x E x N simulator steps within the budget, at least 4."""
        return max(FEWEST_REPLICATES, self.budget // (self.steps * self.roots * num_samples))

    def horizon_for(self, gamma: float, max_episode_steps: int) -> int:
        """H for a discount and a time limit; raises ConfigError if none is left."""
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
