"""Real time: how many control steps are due."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_BEHIND = 0.25
"""Delay [s] beyond which steps are left out, so that a slow machine shows slow motion and not ever older states."""
_WINDOW = 1.0  # s, over which the speed is measured


class Pace:
    """Schedule of control steps at a share of real time.

    Args:
        control_hz: Steps per second of simulated time [Hz].
        clock: Present time [s].
    """

    def __init__(self, control_hz: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.control_hz, self._clock = control_hz, clock
        self._speed, self._paused = 1.0, False
        self._measured: float | None = None
        self._start = self._window = clock()
        self._done = self._counted = 0

    @property
    def speed(self) -> float:
        """Wanted simulated time over real time; below 1 is slow motion."""
        return self._speed

    @speed.setter
    def speed(self, value: float) -> None:
        self._speed = value
        self._restart()

    @property
    def paused(self) -> bool:
        """Whether no steps are due."""
        return self._paused

    @paused.setter
    def paused(self, value: bool) -> None:
        self._paused = value
        self._restart()

    @property
    def measured(self) -> float | None:
        """Simulated time over real time in the last second; None before it and in a pause."""
        return None if self._paused else self._measured

    @property
    def too_slow(self) -> bool:
        """Whether the machine does not keep the wanted speed."""
        return self.measured is not None and self.measured < 0.9 * self._speed

    def due(self) -> int:
        """Steps that are due now; those beyond MOST_BEHIND are given up."""
        if self._paused:
            return 0
        now = self._clock()
        if now - self._window >= _WINDOW:
            self._measured = self._counted / self.control_hz / (now - self._window)
            self._window, self._counted = now, 0
        rate = self._speed * self.control_hz
        behind = int((now - self._start) * rate + 1e-6) - self._done
        most = max(1, int(MOST_BEHIND * rate))
        if behind > most:
            self._done += behind - most
            behind = most
        return behind

    def count(self) -> None:
        """Note that one step was taken."""
        self._done += 1
        self._counted += 1

    @property
    def wait(self) -> float:
        """Time until the next step is due [s]; infinite in a pause."""
        if self._paused:
            return float("inf")
        return max(0.0, self._start + (self._done + 1) / (self._speed * self.control_hz) - self._clock())

    def _restart(self) -> None:
        self._start = self._window = self._clock()
        self._done = self._counted = 0
        self._measured = None
