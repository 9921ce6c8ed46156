"""gym-pybullet-drones behind our contract: docs/guides/gym-pybullet-drones.md."""
