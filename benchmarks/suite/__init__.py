"""Suites of experiments: algorithms x tasks x seeds, run, collected into small files and drawn from those."""
