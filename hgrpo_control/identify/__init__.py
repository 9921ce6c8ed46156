"""Numbers of a drone from the log of a flight: readers, model, fit, report and plots."""
