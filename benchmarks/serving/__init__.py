"""Latency and throughput of the policy server."""
