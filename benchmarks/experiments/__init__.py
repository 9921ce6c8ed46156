"""Suites of experiments: each module declares one as SUITE."""
