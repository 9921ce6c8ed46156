"""What the former missions have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from benchmarks.speed.former.body import Body, Pose


class StepContext(NamedTuple):
    """One control step of B rows."""

    before: Body
    after: Body
    grounded: Tensor
    """(B,) bool, true where the body was on the floor at the end of any substep."""
    steps: Tensor
    """(B,) int64 control steps since the start of the episode with this one."""
    duration: float
    """Length of the control step [s]."""


class TaskResult(NamedTuple):
    """Result of one control step of a mission."""

    mission: Any
    terms: dict[str, Tensor]
    """Terms (B,) of the reward without weights."""
    terminated: Tensor
    """(B,) bool."""


class Mission(ABC):
    """Pure functions of one task, and its constants."""

    state: type[Any]
    """NamedTuple of its memory; the shipped mission's has these fields too."""
    weights: Mapping[str, float]
    """Weight of each term of the reward, and of the penalty `action_difference`."""

    @abstractmethod
    def observe(self, pose: Pose, mission: Any) -> Tensor:
        """Entries (k, B) of the observation."""

    @abstractmethod
    def advance(self, context: StepContext, mission: Any) -> TaskResult:
        """New memory, reward terms and termination."""
