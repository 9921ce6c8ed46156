"""Check that branches of a simulator are exact."""
