"""State of adapted environments, and the arrays in which it is built row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from robots.from_gymnasium.instance import Instance
    from robots.from_gymnasium.returns import Outcome


class GymnasiumState(NamedTuple):
    """Rows of an adapted environment, with the results of the last step.

    They hold everything that the next step reads.
    """

    snapshot: Tensor
    """(B, K) uint8, the whole environment; K = 0 without snapshots."""
    slot: Tensor
    """(B,) int64 slot of the instance that is in this state; 0 with snapshots."""
    token: Tensor
    """(B,) int64 number of this state among those of its instance; 0 with snapshots."""
    observation: Tensor
    """(B, O) float32."""
    reward: Tensor
    """(B,) float32 reward of the last step; 0 after a reset."""
    position: Tensor
    """(B, 3) float64 position of the torso [m]."""
    success: Tensor
    """(B,) bool, info["is_success"]; false where MuJoCo diverged."""
    diverged: Tensor
    """(B,) bool, MuJoCo diverged in the last step; the other fields are then those before the step."""
    ended: Tensor
    """(B,) bool, the environment has ended the episode; further steps change nothing and have reward 0."""


class RowWriter:
    """Arrays of B rows, filled from outcomes."""

    def __init__(self, rows: int, snapshot_size: int, observation_size: int) -> None:
        self.snapshot = np.zeros((rows, snapshot_size), dtype=np.uint8)
        self.slot, self.token = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
        self.observation = np.zeros((rows, observation_size), dtype=np.float32)
        self.reward = np.zeros(rows, dtype=np.float32)
        self.position = np.zeros((rows, 3))
        self.success, self.diverged, self.ended = (np.zeros(rows, dtype=bool) for _ in range(3))

    def write(self, row: int, instance: Instance, outcome: Outcome) -> None:
        """Write the outcome of an instance into a row."""
        with np.errstate(over="ignore"):  # a value beyond float32 becomes infinity; training reports it
            self.observation[row] = outcome.observation
            self.reward[row] = outcome.reward
        self.position[row] = instance.position()
        self.success[row] = bool(outcome.info.get("is_success", False))
        self.ended[row] = outcome.terminated

    def keep(self, row: int, state: GymnasiumState) -> None:
        """Copy a row of a state, except for its reward."""
        for name in ("snapshot", "slot", "token", "observation", "position", "success", "diverged", "ended"):
            getattr(self, name)[row] = getattr(state, name)[row].numpy()

    def state(self) -> GymnasiumState:
        """The rows as tensors."""
        return GymnasiumState(*(torch.from_numpy(getattr(self, name)) for name in GymnasiumState._fields))
