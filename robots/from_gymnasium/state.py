"""The state of adapted environments, and the arrays it is written into row by row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from robots.from_gymnasium.instance import Instance
from robots.from_gymnasium.returns import Outcome


class GymnasiumState(NamedTuple):
    """Rows of an adapted environment: everything the next step reads, and what the last one showed."""

    snapshot: Tensor
    """(B, K) uint8, the whole environment; K = 0 without snapshots."""
    slot: Tensor
    """(B,) int64 instance that lives in this state; 0 with snapshots."""
    token: Tensor
    """(B,) int64 which of that instance's states this is; 0 with snapshots."""
    observation: Tensor
    """(B, O) float32."""
    reward: Tensor
    """(B,) float32 reward of the step that led here; 0 after a reset."""
    position: Tensor
    """(B, 3) float64 of the torso [m]."""
    success: Tensor
    """(B,) bool, info["is_success"]; false where MuJoCo gave up."""
    diverged: Tensor
    """(B,) bool, MuJoCo gave up in the step that led here; what else it holds is of the state before."""
    ended: Tensor
    """(B,) bool, the environment has ended the episode: a further step changes nothing and is paid nothing."""


class RowWriter:
    """Arrays of B rows that outcomes are written into."""

    def __init__(self, rows: int, snapshot_size: int, observation_size: int) -> None:
        self.snapshot = np.zeros((rows, snapshot_size), dtype=np.uint8)
        self.slot, self.token = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
        self.observation = np.zeros((rows, observation_size), dtype=np.float32)
        self.reward = np.zeros(rows, dtype=np.float32)
        self.position = np.zeros((rows, 3))
        self.success, self.diverged, self.ended = (np.zeros(rows, dtype=bool) for _ in range(3))

    def write(self, row: int, instance: Instance, outcome: Outcome) -> None:
        """What one instance came to."""
        with np.errstate(over="ignore"):  # beyond float32 is infinity, which whoever collects it complains about
            self.observation[row] = outcome.observation
            self.reward[row] = outcome.reward
        self.position[row] = instance.position()
        self.success[row] = bool(outcome.info.get("is_success", False))
        self.ended[row] = outcome.terminated

    def keep(self, row: int, state: GymnasiumState) -> None:
        """A row stays as it is, but for the reward."""
        for name in ("snapshot", "slot", "token", "observation", "position", "success", "diverged", "ended"):
            getattr(self, name)[row] = getattr(state, name)[row].numpy()

    def state(self) -> GymnasiumState:
        """The rows as tensors."""
        return GymnasiumState(*(torch.from_numpy(getattr(self, name)) for name in GymnasiumState._fields))
