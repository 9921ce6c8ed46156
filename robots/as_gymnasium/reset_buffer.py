"""Initial states of many rows, each drawn from a random stream of its own and handed out one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from robots.simulator import Adjustable, Simulator, map_state, select

BLOCK = 16
"""Initial states drawn at a time from one row's stream; a single one where each takes an environment of its own."""


class ResetBuffer:
    """Where the episodes of `num` rows begin: a function of each row's stream alone, whatever the other rows do.

    A simulator draws all rows of a reset from one seed, so that a row with a seed of its own needs a reset of its own.
    Every such reset draws the next `BLOCK` episodes of its row at once, and restarting any number of rows is one
    gather. `seed` (num,) is that of each row's block, `left` (num,) how many of it are still to come. What lies ahead
    is drawn again from its seed where a setting of the simulator has changed since.
    """

    def __init__(self, simulator: Simulator, num: int) -> None:
        self.simulator = simulator
        self.block = 1 if simulator.spec.branching_obstacle else BLOCK
        self._settings: dict[str, float] = {}
        self.seed = np.zeros(num, dtype=np.int64)
        self.left = np.zeros(num, dtype=np.int64)
        self._drawn = np.full(num, -1, dtype=np.int64)  # seed behind what lies in _ahead; no seed is negative
        self._ahead: Any = None

    def clear(self, row: int) -> None:
        """Drop what is left of a row's block, because its stream begins anew."""
        self.left[row] = 0

    def draw(self, rows: np.ndarray, streams: Sequence[np.random.Generator]) -> Any:
        """Next initial state of each of `rows` (k,) int64, none twice; `streams` holds one generator per row of all."""
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
        """Fill the blocks of `rows` (k,) from their seeds."""
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
