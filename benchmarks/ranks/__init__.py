"""One run in one process and in two: speed, exchange, and learning curves."""
