"""gym-pybullet-drones: its aviaries and its physics."""
