"""A quadrotor on a mission, as a simulator."""
