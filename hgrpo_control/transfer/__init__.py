"""A policy in another simulator than it was trained in."""
