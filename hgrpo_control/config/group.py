"""Settings of GRPO's comparisons; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    """Advantages from the branches of a group."""

    scale: Literal["group", "batch", "none"] = "group"
    """Divisor of the differences: standard deviation of the group, of the batch, or none."""
    baseline: Literal["mean", "leave_one_out"] = "mean"
    """Baseline of a return: mean of the group, or mean of its siblings."""
    credit: Literal["outcome", "reward_to_go"] = "outcome"
    """Return of a step: outcome of the whole branch, or reward to go."""
    groups: Literal["executed_path", "initial_states"] = "executed_path"
    """Start of the groups: states of the executed path, or new initial states."""
    drop_zero_variance: bool = False
    """Exclude groups in which all returns are equal from the mean of the loss."""
