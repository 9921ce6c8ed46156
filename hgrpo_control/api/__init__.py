"""Training, runs, policies and reports from Python; docs/guides/python.md shows them."""
