"""What a flight came to: ticks, misses and why, and how late and how long things were."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sim2real.flight.histogram import DurationHistogram
from sim2real.flight.watchdog import State

_PERCENTILES = (50.0, 99.0, 99.9)


@dataclass
class LoopStatistics:
    """Of one flight; memory does not grow with its length."""

    ticks: int = 0
    """That ran."""
    skipped: int = 0
    """Slots of the schedule whose deadline had passed before the loop came to them."""
    misses: Counter[str] = field(default_factory=Counter)
    """Slots without a valid action in time, skipped ones included, by reason."""
    states: Counter[State] = field(default_factory=Counter)
    """Ticks by the watchdog's state after them."""
    jitter: DurationHistogram = field(default_factory=DurationHistogram)
    """From the slot of the schedule to when the tick began [s]."""
    policy: DurationHistogram = field(default_factory=DurationHistogram)
    """From asking the policy to its answer [s]; only of answers."""
    latency: DurationHistogram = field(default_factory=DurationHistogram)
    """From an observation's time stamp to when its action was handed to the target [s]."""

    @property
    def missed(self) -> int:
        """Slots without a valid action in time."""
        return sum(self.misses.values())

    def table(self) -> str:
        """Lines for people: counts, then percentiles in milliseconds."""
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
