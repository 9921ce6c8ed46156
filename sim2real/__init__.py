"""How a policy leaves: exports, servers and the loop that flies."""
