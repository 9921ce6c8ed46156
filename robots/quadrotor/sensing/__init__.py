"""Errors of sensors, and latency."""
