"""A reward transform that fails in one process of a run."""

from __future__ import annotations

import os

from torch import Tensor

_calls = 0


def fails_on_rank_1(reward: Tensor) -> Tensor:
    global _calls
    _calls += 1
    if os.environ.get("RANK") == "1" and _calls == 3:
        raise ValueError("the third call is too many")
    return reward
