"""Settings of the entropy bonus; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from hgrpo_fields import Range, inert_problem

LOWEST, HIGHEST = 1e-4, 1e2
"""Bounds of an adapted alpha. A lower alpha has no effect, and a higher one outweighs every other term of the loss.
Without bounds alpha would drift away while a target cannot be reached, and would need as long to return."""


@dataclass(frozen=True, kw_only=True)
class EntropySettings:
    """Entropy bonus (eq. 15) and the adaptation of its weight."""

    ent_coef: Annotated[float, Range(least=0)] = 0.0
    """Weight alpha of the entropy bonus (eq. 15); with target_sigma, its initial value."""
    target_sigma: Annotated[float | None, Range(above=0)] = None
    """Adapt alpha to keep the standard deviation of the policy at or above this value; None keeps alpha."""
    ent_learning_rate: Annotated[float, Range(above=0)] = 0.03
    """Step of log alpha per minibatch and nat of missing entropy; follows lr_schedule."""

    def entropy_problem(self, min_sigma: float) -> str | None:
        """Error line for settings that contradict each other or min_sigma; None otherwise."""
        if self.target_sigma is None:
            return inert_problem(self, ("ent_learning_rate",), "without target_sigma, towards which it moves alpha")
        if not min_sigma < self.target_sigma:
            return f"target_sigma must be above min_sigma {min_sigma}; given {self.target_sigma}"
        if not LOWEST <= self.ent_coef <= HIGHEST:
            return (
                f"with target_sigma the temperature starts at ent_coef, which must lie in [{LOWEST:g}, {HIGHEST:g}]; "
                f"given {self.ent_coef}"
            )
        return None
