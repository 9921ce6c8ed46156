"""The commands of `hgrpo`, one per file: each takes the words behind its name in `run`."""
