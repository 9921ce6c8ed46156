"""Branches from saved states: what is drawn, stepped and recorded."""
