"""Counts by hand, and read by Prometheus' own parser."""

from __future__ import annotations

import json

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from support.server_process import OBSERVATIONS, PATIENCE, Server, wait_until

from sim2real.client.policy_client import PolicyClient
from sim2real.server.metrics import BOUNDS, LatencyHistogram, Metrics

TENSOR = {"name": "observation", "shape": [3], "datatype": "FP32", "data": [0.0, 0.0, 0.0]}


def samples(text: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by name and label values."""
    families = text_string_to_metric_families(text.decode())
    found = (sample for family in families for sample in family.samples)
    return {(sample.name, tuple(sample.labels.values())): sample.value for sample in found}


def test_a_duration_on_a_bound_belongs_below_it() -> None:
    histogram = LatencyHistogram()
    for seconds in (1e-5, 1.1e-5, 2e-5, 0.5, 7.0):
        histogram.observe(seconds)
    assert histogram.counts[:2] == [1, 2]
    assert histogram.counts[BOUNDS.index(0.5)] == 1
    assert histogram.counts[-1] == 1
    np.testing.assert_allclose(histogram.sum, 7.500041)


def test_buckets_are_cumulative_and_labels_are_escaped() -> None:
    metrics = Metrics(('a"b',))
    for seconds in (1e-5, 3e-5, 3e-5, 2.0):
        metrics.latency['a"b', "http"].observe(seconds)
    found = samples(metrics.prometheus())
    assert found["hgrpo_request_seconds_bucket", ("1e-05", 'a"b', "http")] == 1
    assert found["hgrpo_request_seconds_bucket", ("5e-05", 'a"b', "http")] == 3
    assert found["hgrpo_request_seconds_bucket", ("+Inf", 'a"b', "http")] == 4
    assert found["hgrpo_request_seconds_count", ('a"b', "http")] == 4


def test_a_server_counts_what_it_does(server: Server) -> None:
    def figures() -> dict[tuple[str, tuple[str, ...]], float]:
        return samples(server.ask("GET", "/metrics")[1])

    before = figures()
    with PolicyClient(server.url("/policies/two"), timeout=PATIENCE) as client:
        for observation in OBSERVATIONS:
            client.infer(observation)
        assert figures()["hgrpo_conversations", ()] >= 1
    body = json.dumps({"inputs": [TENSOR]}).encode()
    for name in ("two", "two", "nobody"):
        server.ask("POST", f"/v2/models/{name}/infer", body)
    server.ask("POST", "/v2/models/two/infer", b"no JSON")

    def grown(name: str, *labels: str) -> float:
        return figures().get((name, labels), 0.0) - before.get((name, labels), 0.0)

    assert grown("hgrpo_request_seconds_count", "two", "websocket") == len(OBSERVATIONS)
    assert grown("hgrpo_request_seconds_count", "two", "http") == 2
    assert grown("hgrpo_request_seconds_count", "one", "http") == 0
    assert grown("hgrpo_rejected_total", "two", "http", "malformed") == 1
    assert grown("hgrpo_rejected_total", "", "http", "unknown_policy") == 1
    version = [labels for name, labels in before if name == "hgrpo_policy_info" and "two" in labels]
    assert len(version) == 1
    assert "1" in version[0]
    wait_until(lambda: figures()["hgrpo_conversations", ()] == 0)
