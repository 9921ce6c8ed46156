"""The package from Python: training, runs, policies and their reports, as docs/guides/python.md shows them."""
