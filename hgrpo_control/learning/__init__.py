"""Gradient steps on a batch."""
