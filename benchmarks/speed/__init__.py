"""How fast simulators and training run."""
