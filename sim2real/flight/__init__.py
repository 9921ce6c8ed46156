"""The control loop that flies a policy."""
