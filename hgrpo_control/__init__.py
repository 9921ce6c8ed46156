"""How a policy is trained and judged."""
