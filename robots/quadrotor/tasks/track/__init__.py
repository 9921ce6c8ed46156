"""Task quadrotor-track."""
