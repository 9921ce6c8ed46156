"""A clock for flights that last as long as real ones and need not be waited for."""

from __future__ import annotations

import time


class QuickClock:
    """The monotonic clock of the computer, `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def now(self) -> float:
        """The current time [s]."""
        return self.speed * time.monotonic()

    def sleep_until(self, instant: float) -> None:
        """Sleep."""
        while (left := instant - self.now()) > 0.0:
            time.sleep(left / self.speed)
