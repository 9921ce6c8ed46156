"""Check that the gradients of a simulator are right."""
