"""Tables and plots that compare runs."""
