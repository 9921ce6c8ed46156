"""Whether branches of a simulator are exact."""
