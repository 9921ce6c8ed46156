"""The commands of `hgrpo`, one per file; `run` takes the arguments behind the name of the command."""
