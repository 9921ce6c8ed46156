"""A policy in another physics engine than it was trained in."""
