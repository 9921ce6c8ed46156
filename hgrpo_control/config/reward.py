"""Settings of the reward transform of every algorithm; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from hgrpo_errors import unknown
from hgrpo_fields import Range, inert_problem

TRANSFORMS = ("identity", "tanh", "clip", "scale", "rolling", "rolling-std")


@dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """Transform f(R) of the reward that the learner receives (eq. 12 and 17)."""

    reward_transform: str = "identity"
    """Transform f(R) of the reward: identity, tanh, clip, scale, rolling, rolling-std or MODULE:FUNCTION."""
    reward_low: float = -1.0
    """Lower bound of the transform clip."""
    reward_high: float = 1.0
    """Upper bound of the transform clip."""
    reward_window: Annotated[int, Range(least=2)] = 100_000
    """Number of past rewards in the moments of rolling and rolling-std."""

    def reward_problem(self) -> str | None:
        """Error line for settings that contradict each other; None otherwise."""
        name = self.reward_transform
        if ":" in name:
            if len([part for part in name.split(":") if part]) != 2 or name.count(":") != 1:
                return unknown("reward_transform", name, (), ", ".join((*TRANSFORMS, "MODULE:FUNCTION")))
        elif name not in TRANSFORMS:
            return unknown("reward_transform", name, TRANSFORMS, ", ".join((*TRANSFORMS, "MODULE:FUNCTION")))
        if not self.reward_low < self.reward_high:
            return f"reward_low must be below reward_high; given {self.reward_low} and {self.reward_high}"
        given, problem = f"with reward_transform {name}; it belongs to ", None
        if name != "clip":
            problem = inert_problem(self, ("reward_low", "reward_high"), f"{given}clip")
        if problem is None and not name.startswith("rolling"):
            problem = inert_problem(self, ("reward_window",), f"{given}rolling and rolling-std")
        return problem
