"""Percentiles of durations, in constant memory."""

from __future__ import annotations

import math

import numpy as np

LEAST, MOST = 1e-7, 1e3  # [s]
_PER_DECADE = 100
_BINS = round(_PER_DECADE * math.log10(MOST / LEAST))


class DurationHistogram:
    """Counts of durations [s] in logarithmic bins, in 8 kB of memory.

    There are 100 bins per decade from 0.1 us to 1,000 s.

    A percentile is the upper edge of its bin: at most 2.4 % above the true one, never below it. The largest duration
    and the mean are exact. Shorter and longer durations count in the first and last bin.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS + 1, np.int64)
        self.count = 0
        self.largest = 0.0
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration [s]; raises ValueError if it is negative or not finite."""
        if not 0.0 <= seconds < math.inf:
            raise ValueError(f"a duration must be finite and not negative; given {seconds}")
        exponent = _PER_DECADE * math.log10(seconds / LEAST) if seconds > LEAST else 0.0
        self._counts[min(math.ceil(exponent), _BINS)] += 1
        self.count += 1
        self._total += seconds
        self.largest = max(self.largest, seconds)

    @property
    def mean(self) -> float:
        """Mean duration [s]; NaN without any."""
        return self._total / self.count if self.count else math.nan

    def percentile(self, percent: float) -> float:
        """Duration [s] that `percent` of all do not exceed; NaN without any.

        Raises ValueError for a percentage outside (0, 100].
        """
        if not 0.0 < percent <= 100.0:
            raise ValueError(f"a percentile lies above 0 and up to 100; given {percent}")
        if not self.count:
            return math.nan
        rank = math.ceil(self.count * percent / 100.0)
        index = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(LEAST * 10.0 ** (index / _PER_DECADE), self.largest)
