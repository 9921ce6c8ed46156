"""Simulators of others behind our contract."""
