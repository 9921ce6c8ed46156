"""Counters of the server, and their export in Prometheus' text format."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

PROTOCOLS = ("websocket", "http")
# upper bounds [s], from 10 us to 1 s, by factors of 2 to 2.5
BOUNDS = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0)


class LatencyHistogram:
    """Counts of durations up to each of BOUNDS and above the last; their sum [s]."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration [s]."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds


class Metrics:
    """Counters of one server.

    `policies` are the names of the policies, so clients cannot add labels.
    """

    def __init__(self, policies: tuple[str, ...]) -> None:
        self.started = time.time()
        self.latency = {(policy, protocol): LatencyHistogram() for policy in policies for protocol in PROTOCOLS}
        self.rejected: Counter[tuple[str, str, str]] = Counter()  # policy ("" for an unknown one), protocol, reason
        self.limited: Counter[str] = Counter()
        self.swaps: Counter[tuple[str, str]] = Counter()  # policy, "loaded", "refused" or "rolled back"
        self.conversations = 0  # open WebSocket connections
        self.turned_away: Counter[str] = Counter()  # why: connections, timeout, slow_reader, token, origin
        self.versions: dict[str, tuple[str, str]] = {}  # policy: version, checkpoint_sha256
        self.streams: Callable[[], dict[str, int]] = dict  # streams with a memory, by policy
        self.recorded = 0
        self.unrecorded = 0
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(self))

    def prometheus(self) -> bytes:
        """All counters in Prometheus' text format."""
        return generate_latest(self._registry)

    def summary(self) -> dict[str, Any]:
        """All counters as lists, texts and numbers, for the status page."""
        return {
            "seconds": time.time() - self.started,
            "bounds": list(BOUNDS),
            "latency": [
                {"policy": policy, "protocol": protocol, "counts": histogram.counts, "sum": histogram.sum}
                for (policy, protocol), histogram in self.latency.items()
            ],
            "rejected": [
                {"policy": policy, "protocol": protocol, "reason": reason, "count": count}
                for (policy, protocol, reason), count in sorted(self.rejected.items())
            ],
            "limited": dict(self.limited),
            "conversations": self.conversations,
            "streams": self.streams(),
            "turned_away": dict(self.turned_away),
            "recorded": self.recorded,
            "unrecorded": self.unrecorded,
        }


class _Collector:
    """Collector of the Prometheus client."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """One metric family per counter."""
        metrics = self._metrics
        latency = HistogramMetricFamily(
            "hgrpo_request_seconds", "From a request's arrival to its reply", labels=["policy", "protocol"]
        )
        for labels, histogram in metrics.latency.items():
            latency.add_metric(labels, _cumulative(histogram), histogram.sum)
        yield latency
        yield _counter("hgrpo_rejected", "Requests refused", ["policy", "protocol", "reason"], metrics.rejected)
        yield _counter("hgrpo_limited", "Actions clamped or slowed down", ["policy"], _keyed(metrics.limited))
        yield _counter("hgrpo_swaps", "Attempts to serve another version", ["policy", "result"], metrics.swaps)
        yield _counter("hgrpo_turned_away", "Connections and requests cut", ["why"], _keyed(metrics.turned_away))
        recorded = {("written",): metrics.recorded, ("dropped",): metrics.unrecorded}
        yield _counter("hgrpo_recorded", "Steps of the recording", ["result"], recorded)
        yield GaugeMetricFamily("hgrpo_conversations", "Open WebSocket connections", value=metrics.conversations)
        streams = GaugeMetricFamily("hgrpo_streams", "Open streams with a memory of the policy", labels=["policy"])
        for policy, count in metrics.streams().items():
            streams.add_metric([policy], count)
        yield streams
        versions = InfoMetricFamily("hgrpo_policy", "Version being served", labels=["policy"])
        for policy, (version, sha256) in metrics.versions.items():
            versions.add_metric([policy], {"version": version, "checkpoint_sha256": sha256})
        yield versions


def _counter(name: str, text: str, labels: list[str], counts: dict[Any, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _keyed(counts: Counter[str]) -> dict[tuple[str], int]:
    return {(key,): count for key, count in counts.items()}


def _cumulative(histogram: LatencyHistogram) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets
