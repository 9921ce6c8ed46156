"""What a command says in the end if Ctrl-C ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOTHING_KEPT = "nothing was written"


@contextmanager
def listing_what_is_kept() -> Iterator[list[Path]]:
    """A list for the files that a command has written; Ctrl-C raises a KeyboardInterrupt whose message has it."""
    kept: list[Path] = []
    try:
        yield kept
    except KeyboardInterrupt as stopped:
        if stopped.args or not kept:
            raise
        raise KeyboardInterrupt(f"kept: {', '.join(map(str, kept))}") from stopped


def told(stopped: KeyboardInterrupt) -> str:
    """The last line of an interrupted command."""
    return f"interrupted; {stopped.args[0] if stopped.args else NOTHING_KEPT}"
