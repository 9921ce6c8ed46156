"""Task quadrotor-gates."""
