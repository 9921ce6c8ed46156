"""Task quadrotor-obstacles."""
