"""Clients of the policy server."""
