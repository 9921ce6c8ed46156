"""`python -m hgrpo_control`: the command line, for launchers such as torchrun."""

from hgrpo_control.cli import entry_point

if __name__ == "__main__":
    entry_point()
