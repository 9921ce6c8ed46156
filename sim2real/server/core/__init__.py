"""Policies being served, guards and history, whatever the protocol."""
