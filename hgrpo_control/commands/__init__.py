"""The commands of `hgrpo`, one per file; `run` takes their arguments."""
