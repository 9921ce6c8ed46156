"""Parameters identified from simulated flights, against the true ones."""
