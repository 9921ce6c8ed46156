"""Episodes flown with a policy, their figures and films."""
