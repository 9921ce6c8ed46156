"""Run folders: checkpoints, metrics and progress."""
