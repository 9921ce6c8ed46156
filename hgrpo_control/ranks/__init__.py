"""The processes of one run: how they start, what they exchange, and how they end."""
