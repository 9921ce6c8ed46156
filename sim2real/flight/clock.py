"""Clocks of the loop: that of the computer, or one that the program advances."""

from __future__ import annotations

import time
from typing import Protocol

from hgrpo_errors import HgrpoError


class Clock(Protocol):
    """A clock [s] that never runs backwards; only differences of its values have a meaning."""

    def now(self) -> float:
        """The current time [s]."""
        ...

    def sleep_until(self, instant: float) -> None:
        """Return at an instant [s] of this clock or as soon as possible after it.

        Never before.
        """
        ...


class MonotonicClock:
    """The monotonic clock of the computer.

    It polls the last `spin_seconds` before an instant instead of sleeping.

    A sleep ends about 0.1 ms late, a poll does not. Neither helps if other processes hold the processor. 0.1 ms is 1 %
    of a period of 10 ms and polling heats the processor, so the default is to sleep. Raises HgrpoError for more than
    0.01 s.
    """

    def __init__(self, spin_seconds: float = 0.0) -> None:
        if not 0.0 <= spin_seconds <= 0.01:
            raise HgrpoError(f"spin_seconds must be in [0, 0.01]; given {spin_seconds}")
        self._spin = spin_seconds

    def now(self) -> float:
        """time.monotonic() [s]."""
        return time.monotonic()

    def sleep_until(self, instant: float) -> None:
        """Sleep, then poll."""
        while (left := instant - time.monotonic()) > 0.0:
            if left > self._spin:
                time.sleep(left - self._spin)


class SteppedClock:
    """A clock that only `advance` and `sleep_until` move.

    With this clock a loop runs as fast as possible, and every tick is on time.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """The current time [s]."""
        return self._now

    def sleep_until(self, instant: float) -> None:
        """Set the clock to the instant [s], unless it is past."""
        self._now = max(self._now, instant)

    def advance(self, seconds: float) -> None:
        """Advance by a duration [s]."""
        self._now += seconds
