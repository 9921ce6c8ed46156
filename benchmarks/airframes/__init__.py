"""Policies on many airframes, beside RAPTOR's published policy."""
