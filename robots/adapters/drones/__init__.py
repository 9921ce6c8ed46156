"""gym-pybullet-drones behind our contract: docs/gym-pybullet-drones.md."""
