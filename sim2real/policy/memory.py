"""Memory that an exported policy keeps from call to call."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hgrpo_errors import HgrpoError


class KeptMemory:
    """Memory (B, M) of the B episodes of the last call; None before the first step."""

    _memory: NDArray[np.float32] | None = None

    def reset(self, rows: NDArray[np.integer | np.bool_] | None = None) -> None:
        """Forget everything, as at the beginning of an episode; does nothing without memory.

        Args:
            rows: (k,) indices or (B,) bool mask of the episodes that begin; None for all of them.
        """
        if rows is None:
            self._memory = None
        elif self._memory is not None:
            self._memory[rows] = 0.0

    def _memory_of(self, rows: int) -> NDArray[np.float32] | None:
        """The memory of this number of episodes, None before the first step; HgrpoError for another number."""
        memory = self._memory
        if memory is not None and len(memory) != rows:
            raise HgrpoError(f"{rows} observations after {len(memory)}; allowed: the same number, or reset() first")
        return memory
