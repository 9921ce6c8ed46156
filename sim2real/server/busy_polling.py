"""Waiting for requests without falling asleep: a process that has to be woken answers later, and with cold caches."""

from __future__ import annotations

import selectors
import time
from selectors import SelectorKey


class BusyPollingSelector(selectors.DefaultSelector):
    """Looks again and again for `seconds` after something was there, and only then sleeps, as any selector does."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._awake_until = 0.0  # of time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """What is ready within `timeout` seconds, at any time for None, at once for 0 or less."""
        began = time.monotonic()
        ready = super().select(0)
        until = self._awake_until if timeout is None else min(self._awake_until, began + timeout)
        while not ready and time.monotonic() < until:
            ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            ready = super().select(None if timeout is None else max(0.0, began + timeout - time.monotonic()))
        if ready:
            self._awake_until = time.monotonic() + self._seconds
        return ready
