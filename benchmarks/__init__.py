"""Speed, latency and learning, measured."""
