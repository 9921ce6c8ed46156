"""Transforms of the reward before advantages are computed."""
