"""Exported policies: how they are loaded, run and inspected."""
