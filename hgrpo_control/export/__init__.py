"""Export of a run: options, files, and a report of what was measured."""
