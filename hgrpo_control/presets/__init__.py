"""Settings that were found to train each task."""
