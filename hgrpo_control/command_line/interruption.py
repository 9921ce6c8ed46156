"""The last line of a command that Ctrl-C ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOTHING_KEPT = "nothing was written"


@contextmanager
def listing_what_is_kept() -> Iterator[list[Path]]:
    """Yield a list for the written files; after Ctrl-C the last line has them."""
    kept: list[Path] = []
    try:
        yield kept
    except KeyboardInterrupt as interruption:
        if interruption.args or not kept:
            raise
        raise KeyboardInterrupt(f"kept: {', '.join(map(str, kept))}") from interruption


def is_interrupted(error: ImportError) -> bool:
    """Whether Ctrl-C ended an import; an extension module reports it as an error of its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def last_line(interruption: KeyboardInterrupt) -> str:
    """The last line of an interrupted command."""
    return f"interrupted; {interruption.args[0] if interruption.args else NOTHING_KEPT}"
