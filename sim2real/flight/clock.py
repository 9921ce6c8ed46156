"""Time as the loop sees it: the computer's monotonic clock, or one that a program moves."""

from __future__ import annotations

import time
from typing import Protocol

from hgrpo_errors import HgrpoError


class Clock(Protocol):
    """A clock [s] that never runs backwards; only differences of its readings mean anything."""

    def now(self) -> float:
        """The present [s]."""
        ...

    def sleep_until(self, instant: float) -> None:
        """Return at an instant [s] of this clock or as soon after it as can be, never before; at once if it is past."""
        ...


class MonotonicClock:
    """The computer's monotonic clock; the last `spin_seconds` before an instant are spent looking instead of sleeping.

    A sleep wakes up late, typically by 0.1 ms, a spin does not; against other processes that hold the processor neither
    helps. 0.1 ms is 1 % of a period of 10 ms and spinning warms the processor, so the default is not to.
    """

    def __init__(self, spin_seconds: float = 0.0) -> None:
        if not 0.0 <= spin_seconds <= 0.01:
            raise HgrpoError(f"spin_seconds must lie in [0, 0.01]; given {spin_seconds}")
        self._spin = spin_seconds

    def now(self) -> float:
        """Seconds of time.monotonic()."""
        return time.monotonic()

    def sleep_until(self, instant: float) -> None:
        """Sleep, then spin."""
        while (left := instant - time.monotonic()) > 0.0:
            if left > self._spin:
                time.sleep(left - self._spin)


class SteppedClock:
    """A clock that stands still unless it is moved: sleeping until an instant makes it that instant.

    With it a loop runs as fast as it goes, and every tick is on time.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """Where it stands [s]."""
        return self._now

    def sleep_until(self, instant: float) -> None:
        """Stand at the instant, unless it is past."""
        self._now = max(self._now, instant)

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._now += seconds
