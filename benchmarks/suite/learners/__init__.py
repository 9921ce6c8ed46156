"""Whose implementation trains a variant of a suite."""
