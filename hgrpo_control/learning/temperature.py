"""The temperature alpha of eq. 15, weight of the entropy bonus: fixed or adapted."""

from __future__ import annotations

import math
from typing import Any

from hgrpo_control.config.entropy import HIGHEST, LOWEST

DAMPING = 1.0
"""Change of log alpha per nat of entropy, applied at once."""


def gaussian_entropy(sigma: float, dimensions: int) -> float:
    """Entropy of a Gaussian with one sigma: 1/2 ln(2 pi e sigma^2) per dimension."""
    return 0.5 * dimensions * math.log(2.0 * math.pi * math.e * sigma**2)


class Temperature:
    """alpha: fixed at `start`, or adapted to a target entropy (eq. 15).

    Every update moves its level by log alpha += -rate (H - target), so that entropy below the target raises alpha and
    entropy above it lowers alpha; alpha itself is level exp(-DAMPING (H - target)). Without the second factor alpha
    integrates the entropy and the entropy integrates alpha, and both oscillate with growing amplitude about the target.
    Where H equals the target the factor is 1. Level and alpha stay within [LOWEST, HIGHEST].
    """

    def __init__(self, start: float, target_entropy: float | None = None, learning_rate: float = 0.0) -> None:
        self.value = start
        self.target_entropy, self.learning_rate = target_entropy, learning_rate
        self._level = start

    def update(self, entropy: float, share: float = 1.0) -> None:
        """Take one step by the policy's entropy H, at `share` of the learning rate.

        A fixed alpha does not change.
        """
        if self.target_entropy is not None:
            surplus = entropy - self.target_entropy
            self._level = _shifted(self._level, -share * self.learning_rate * surplus)
            self.value = _shifted(self._level, -DAMPING * surplus)

    def state_dict(self) -> dict[str, Any]:
        """alpha and its level."""
        return {"value": self.value, "level": self._level}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`."""
        self.value, self._level = saved["value"], saved["level"]


def _shifted(alpha: float, log_step: float) -> float:
    """alpha exp(log_step), within bounds."""
    return math.exp(min(max(math.log(alpha) + log_step, math.log(LOWEST)), math.log(HIGHEST)))
