"""Offscreen pictures of simulators."""
