"""Races through square gates."""
