"""At which difficulty and reward weights a command judges a run; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FULL, RUN = "full", "run"
Weights = Literal["final", "run", "default"]


@dataclass(frozen=True, kw_only=True)
class JudgedSettings:
    """Which task a run under a curriculum is judged in."""

    difficulty: str = FULL
    """Difficulty of the episodes: full (that of the task's options, 1 if they do not say), run (where the run's
    curriculum stands), or a number from 0 to 1."""
    weights: Weights = "final"
    """Reward weights: final (where the run's curriculum ends), run (where it stands), or default (the task's)."""

    @property
    def changed(self) -> dict[str, str]:
        """What differs from the defaults, by name."""
        given = {"difficulty": self.difficulty, "weights": self.weights}
        usual = {"difficulty": JudgedSettings.difficulty, "weights": JudgedSettings.weights}
        return {name: value for name, value in given.items() if value != usual[name]}
