"""The training loop, its simulator, curricula and diagnostics."""
