"""Which files a run is exported to, and what is measured about them."""
