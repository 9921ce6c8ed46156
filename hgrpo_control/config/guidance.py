"""Settings of guided sampling, an option of Hybrid GRPO; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from hgrpo_fields import Range, inert_problem


@dataclass(frozen=True, kw_only=True)
class GuidanceSettings:
    """Resampling of the first actions of half of the siblings by a learned Q (eq. 18)."""

    guided_candidates: Annotated[int, Range(least=0)] = 0
    """Candidate actions per root, M, that half of the siblings are resampled from by Q (eq. 18); 0 is off."""
    guidance_temperature: Annotated[float, Range(above=0, infinite=True)] = 1.0
    """Temperature beta of eq. 18, in units of returns."""
    guidance_max_weight: Annotated[float, Range(least=1, infinite=True)] = 5.0
    """Largest importance weight of a resampled action."""

    def guidance_problem(self, num_samples: int) -> str | None:
        """Error line for settings that contradict each other or num_samples; None otherwise."""
        candidates = self.guided_candidates
        if candidates == 1:
            return f"guided_candidates must be 0 (off) or at least 2; given {candidates}"
        if candidates and num_samples < 2:
            return f"guided_candidates resamples siblings, so num_samples must be at least 2; given {num_samples}"
        if not candidates:
            names = ("guidance_temperature", "guidance_max_weight")
            return inert_problem(self, names, "without guided_candidates; allowed: guided_candidates of at least 2")
        return None
