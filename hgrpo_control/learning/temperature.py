"""The temperature alpha of eq. 15, which weighs the entropy bonus: fixed, or adapted to a wanted entropy."""

from __future__ import annotations

import math
from typing import Any

from hgrpo_control.config.entropy import HIGHEST, LOWEST

DAMPING = 1.0
"""How much log alpha yields to a nat of entropy at once."""


def gaussian_entropy(sigma: float, dimensions: int) -> float:
    """sum over dimensions of 1/2 ln(2 pi e sigma^2), of a Gaussian with the same sigma in each."""
    return 0.5 * dimensions * math.log(2.0 * math.pi * math.e * sigma**2)


class Temperature:
    """alpha: `start` for good, or adapted to a target entropy (eq. 15).

    Every update moves its level by log alpha += -rate (H - target), so that entropy below the target raises alpha and
    entropy above it lowers alpha; alpha itself is level exp(-DAMPING (H - target)). Without the second factor the two
    integrate in turn, alpha the entropy and the entropy alpha, and swing ever wider about the target. Where H equals
    the target the factor is 1. Level and alpha stay within [LOWEST, HIGHEST].
    """

    def __init__(self, start: float, target_entropy: float | None = None, learning_rate: float = 0.0) -> None:
        self.value = start
        self.target_entropy, self.learning_rate = target_entropy, learning_rate
        self._level = start

    def update(self, entropy: float, share: float = 1.0) -> None:
        """Take one step by the policy's entropy H, at `share` of the learning rate; a fixed alpha stays."""
        if self.target_entropy is not None:
            surplus = entropy - self.target_entropy
            self._level = _shifted(self._level, -share * self.learning_rate * surplus)
            self.value = _shifted(self._level, -DAMPING * surplus)

    def state_dict(self) -> dict[str, Any]:
        """alpha and its level."""
        return {"value": self.value, "level": self._level}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on exactly where the temperature that gave this `state_dict` stood."""
        self.value, self._level = saved["value"], saved["level"]


def _shifted(alpha: float, log_step: float) -> float:
    """alpha exp(log_step), within bounds."""
    return math.exp(min(max(math.log(alpha) + log_step, math.log(LOWEST)), math.log(HIGHEST)))
