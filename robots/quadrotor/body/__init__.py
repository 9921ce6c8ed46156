"""Rigid body of the quadrotor: dynamics, parameters and randomisation."""
