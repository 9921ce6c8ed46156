"""Percentiles in bounded memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.flight.histogram import DurationHistogram
from sim2real.flight.statistics import LoopStatistics
from sim2real.flight.watchdog import State

WIDTH = 10 ** (1 / 100)  # of a bin


def filled(values: list[float]) -> DurationHistogram:
    histogram = DurationHistogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(st.lists(st.floats(1e-7, 1e3), min_size=1, max_size=200), st.sampled_from([0.1, 25.0, 50.0, 99.0, 99.9, 100.0]))
def test_a_percentile_is_at_most_a_bin_above_the_true_one(values: list[float], percent: float) -> None:
    true = sorted(values)[math.ceil(len(values) * percent / 100.0) - 1]
    got = filled(values).percentile(percent)
    assert true * (1 - 1e-12) <= got <= true * WIDTH * (1 + 1e-12)


def test_known_percentiles() -> None:
    # 98 of 1 ms, one of 10 ms, one of 2 s: the 98th of 100 is 1 ms, the 99th 10 ms, the 100th 2 s
    histogram = filled([1e-3] * 98 + [1e-2, 2.0])
    assert histogram.percentile(98.0) == pytest.approx(1e-3, rel=1e-9)
    assert histogram.percentile(99.0) == pytest.approx(1e-2, rel=1e-9)
    assert histogram.percentile(99.9) == histogram.largest == 2.0
    assert histogram.mean == pytest.approx((0.098 + 0.01 + 2.0) / 100)


def test_extremes_are_counted_and_nonsense_is_refused() -> None:
    histogram = filled([0.0, 1e-9, 1e9])
    assert histogram.percentile(50.0) == pytest.approx(1e-7)
    assert histogram.percentile(100.0) == pytest.approx(1e3)
    assert histogram.largest == 1e9
    for value in (-1e-9, math.nan, math.inf):
        with pytest.raises(ValueError, match="must be finite and not negative"):
            histogram.add(value)
    for percent in (0.0, 100.1):
        with pytest.raises(ValueError, match="above 0 and up to 100"):
            histogram.percentile(percent)
    assert np.isnan(DurationHistogram().percentile(50.0))
    assert np.isnan(DurationHistogram().mean)


def test_the_table_says_what_was_counted() -> None:
    statistics = LoopStatistics(ticks=3, skipped=1)
    statistics.states[State.FLYING] += 2
    statistics.states[State.HOLDING] += 1
    statistics.misses.update(["no action", "skipped"])
    for value in (1e-3, 2e-3):
        statistics.jitter.add(value)
    first, second, jitter, *_ = statistics.table().splitlines()
    assert first == "ticks 3 (flying 2, holding 1), missed 2 (no action 1, skipped 1)"
    assert second.split() == ["[ms]", "p50", "p99", "p99.9", "max"]
    assert jitter.split() == ["jitter", "1.000", "2.000", "2.000", "2.000"]
