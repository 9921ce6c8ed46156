"""Aviaries and physics of gym-pybullet-drones."""
