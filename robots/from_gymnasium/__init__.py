"""Gymnasium environments as simulators with saved states."""
