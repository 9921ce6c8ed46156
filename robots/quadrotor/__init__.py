"""The built-in quadrotor: parameters, dynamics, tasks and the scene it is drawn in."""
