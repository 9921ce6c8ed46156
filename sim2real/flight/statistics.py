"""Statistics of a flight: ticks, misses, jitter and latency."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sim2real.flight.histogram import DurationHistogram
from sim2real.flight.watchdog import State

_PERCENTILES = (50.0, 99.0, 99.9)


@dataclass
class LoopStatistics:
    """Statistics of one flight, in constant memory."""

    ticks: int = 0
    """Number of ticks that ran."""
    skipped: int = 0
    """Slots whose deadline had passed before the loop reached them."""
    misses: Counter[str] = field(default_factory=Counter)
    """Slots without a valid action, including skipped ones, by reason."""
    states: Counter[State] = field(default_factory=Counter)
    """Ticks by the state of the watchdog after them."""
    jitter: DurationHistogram = field(default_factory=DurationHistogram)
    """Time from the slot to the start of its tick [s]."""
    policy: DurationHistogram = field(default_factory=DurationHistogram)
    """Time in the policy [s]; only of calls that returned an action."""
    latency: DurationHistogram = field(default_factory=DurationHistogram)
    """Time from the stamp of an observation until its action is sent [s]."""

    @property
    def missed(self) -> int:
        """Slots without a valid action."""
        return sum(self.misses.values())

    def table(self) -> str:
        """Table as text: counts, then percentiles in milliseconds."""
        states = ", ".join(f"{state.value} {self.states[state]}" for state in State if self.states[state])
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.misses.most_common())
        lines = [
            f"ticks {self.ticks} ({states or 'none'}), missed {self.missed}" + (f" ({reasons})" if reasons else ""),
            f"{'[ms]':10}{'p50':>9}{'p99':>9}{'p99.9':>9}{'max':>9}",
        ]
        for name in ("jitter", "policy", "latency"):
            histogram: DurationHistogram = getattr(self, name)
            values = (*(histogram.percentile(p) for p in _PERCENTILES), histogram.largest)
            lines.append(f"{name:10}" + "".join(f"{1e3 * value:9.3f}" for value in values))
        return "\n".join(lines)
