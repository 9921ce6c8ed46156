"""Difficulty and reward weights of an evaluation; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FULL, RUN = "full", "run"
Weights = Literal["final", "run", "default"]


@dataclass(frozen=True, kw_only=True)
class JudgedSettings:
    """Difficulty and reward weights at which a run is evaluated."""

    difficulty: str = FULL
    """Difficulty of the episodes: full (that of the task options), run (that of the run's curriculum), or a number from
    0 to 1."""
    weights: Weights = "final"
    """Reward weights: final (end of the run's curriculum), run (its present values), or default (those of the task)."""

    @property
    def changed(self) -> dict[str, str]:
        """The settings that differ from the defaults, by name."""
        given = {"difficulty": self.difficulty, "weights": self.weights}
        usual = {"difficulty": JudgedSettings.difficulty, "weights": JudgedSettings.weights}
        return {name: value for name, value in given.items() if value != usual[name]}
