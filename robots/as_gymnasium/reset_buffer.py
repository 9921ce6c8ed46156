"""Initial states of many rows, each drawn from the row's own random stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from robots.simulator import Adjustable, Simulator, map_state, select

BLOCK = 16
"""Number of initial states drawn at once for one row; 1 without snapshots."""


class ResetBuffer:
    """Initial states of `num` rows that depend on the row's own stream only.

    A simulator draws all rows of a reset from one seed, so a row with its own seed needs its own reset. Each such reset
    draws a block of `BLOCK` initial states for one row; resetting any number of rows is then one gather. When a setting
    of the simulator changes, blocks are drawn again from their seeds. `seed` (num,) has the seed of each row's block,
    `left` (num,) the number of states left in it.
    """

    def __init__(self, simulator: Simulator, num: int) -> None:
        self.simulator = simulator
        self.block = 1 if simulator.spec.branching_obstacle else BLOCK
        self._settings: dict[str, float] = {}
        self.seed = np.zeros(num, dtype=np.int64)
        self.left = np.zeros(num, dtype=np.int64)
        self._drawn = np.full(num, -1, dtype=np.int64)  # seed of each block in _ahead; no seed is negative
        self._ahead: Any = None

    def clear(self, row: int) -> None:
        """Discard the rest of a row's block, after its stream was seeded."""
        self.left[row] = 0

    def draw(self, rows: np.ndarray, streams: Sequence[np.random.Generator]) -> Any:
        """Next initial state of each of some rows.

        Args:
            rows: (k,) int64 distinct rows.
            streams: Generator of each of the `num` rows.

        Returns:
            State of k rows.
        """
        settings = dict(self.simulator.settings) if isinstance(self.simulator, Adjustable) else {}
        if settings != self._settings:
            self._settings = settings
            self._drawn[:] = -1
        for row in rows[self.left[rows] == 0]:
            self.seed[row] = streams[row].integers(2**63)
            self.left[row] = self.block
        self._draw(rows[self._drawn[rows] != self.seed[rows]])
        index = (rows + 1) * self.block - self.left[rows]
        self.left[rows] -= 1
        return select(self._ahead, torch.from_numpy(index))

    def _draw(self, rows: np.ndarray) -> None:
        """Draw the blocks of `rows` (k,) from their seeds."""
        if not rows.size:
            return
        blocks = [self.simulator.reset(self.block, int(seed)) for seed in self.seed[rows]]
        if self._ahead is None:
            size = len(self.seed) * self.block
            self._ahead = map_state(lambda x: x.new_empty((size, *x.shape[1:])), blocks[0])
        index = torch.from_numpy((rows[:, None] * self.block + np.arange(self.block)).ravel())
        self._ahead = map_state(
            lambda x, *new: x.index_put_((index.to(x.device),), torch.cat(new)), self._ahead, *blocks
        )
        self._drawn[rows] = self.seed[rows]
