"""Snapshots of Gymnasium environments."""
