"""Other engines under the same tasks: what moves the body where the built-in dynamics does not."""

from robots.quadrotor.physics.catalogue import BUILT_IN, FOREIGN, make_physics
from robots.quadrotor.physics.physics import Physics, PhysicsError

__all__ = ["BUILT_IN", "FOREIGN", "Physics", "PhysicsError", "make_physics"]
