"""Settings of GRPO's comparisons; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    """How the branches of a group become advantages; group_advantages.py has the formulas."""

    scale: Literal["group", "batch", "none"] = "group"
    """Divide differences by the standard deviation of their group, by that over all groups, or by nothing."""
    baseline: Literal["mean", "leave_one_out"] = "mean"
    """Compare with the mean of the group or with the mean of the siblings."""
    credit: Literal["outcome", "reward_to_go"] = "outcome"
    """Give every step of a branch its whole return, or each step what is still to come."""
    groups: Literal["executed_path", "initial_states"] = "executed_path"
    """Start groups along the executed path, or in fresh initial states. A branch shorter than an episode cuts it."""
    drop_zero_variance: bool = False
    """Leave groups in which no sample is better than another out of the mean of the loss."""
