"""The error of a user's mistake, printable text, nearest words, and install commands.

Imports nothing of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_UNPINNED = ("crazyflie", "drones")  # their packages need other versions, such as an older `packaging`


class HgrpoError(ValueError):
    """Raised for a mistake that a user can correct; the message is one line.

    The line names the given value, the allowed values and, for a word, the nearest match. The command line prints it
    without a traceback; any other exception is a bug and keeps its traceback. The text becomes `printable`, because
    parts of it may come from a file, a server or a vehicle.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))


def printable(text: str) -> str:
    """Text as one line without control characters.

    White space becomes blanks. Other characters that cannot be printed (escape sequences, marks of the writing
    direction, bytes that are no text) are written as in Python, such as \\x1b.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else letter.encode("unicode_escape").decode()


def nearest(given: str, allowed: Sequence[str]) -> str:
    """End of an error line: the closest allowed word, or all allowed words."""
    close = closest(given, allowed)
    return f"did you mean {close!r}?" if close else f"allowed: {', '.join(allowed)}"


def unknown(what: str, given: object, allowed: Sequence[str], listed: str = "") -> str:
    """Error line for an unknown word, with the closest word and all allowed ones.

    `listed` replaces the list of allowed words. Without a close word only the list is given.
    """
    close = closest(str(given), allowed)
    hint = f"did you mean {close!r}? " if close else ""
    return f"unknown {what} {given!r}; {hint}allowed: {listed or ', '.join(allowed)}"


def closest(given: str, allowed: Sequence[str]) -> str | None:
    """The allowed word closest to the given one; None if none is close."""
    return next(iter(difflib.get_close_matches(given, allowed, n=1)), None)


def install(extra: str) -> str:
    """Command that installs an extra of this package, which is on no package index."""
    pinned = "" if extra in _UNPINNED else "-c constraints.txt "
    return f"pip install {pinned}'.[{extra}]' in a clone of hgrpo-control"
