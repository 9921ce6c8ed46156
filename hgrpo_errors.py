"""The error that users are told in one line, text that is safe to print, nearest words, and how to install.

Imports nothing of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_UNPINNED = ("crazyflie", "drones")  # their packages ask for versions of their own, such as an older `packaging`


class HgrpoError(ValueError):
    """Raised for what a user can mend; the message is one line.

    It says what was given, what is allowed and, for a word, the nearest match. The command line prints it without a
    traceback; any other exception is a bug and keeps its own. What is said becomes `printable`: parts of it may come
    from a file, a server or a vehicle.
    """

    def __init__(self, *words: object) -> None:
        super().__init__(*(printable(word) if isinstance(word, str) else word for word in words))


def printable(text: str) -> str:
    """Text as one line that can do nothing to the terminal that shows it.

    Whitespace becomes blanks; what else cannot be printed (escape sequences, marks that turn the direction of writing,
    bytes that are no text) is written as in Python, such as \\x1b.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else letter.encode("unicode_escape").decode()


def nearest(given: str, allowed: Sequence[str]) -> str:
    """Second half of an error message: the closest allowed word, or all of them where none is close."""
    close = closest(given, allowed)
    return f"did you mean {close!r}?" if close else f"allowed: {', '.join(allowed)}"


def unknown(what: str, given: object, allowed: Sequence[str], listed: str = "") -> str:
    """A whole error message: the closest allowed word if one is close, and all of them, or what is `listed` instead."""
    close = closest(str(given), allowed)
    hint = f"did you mean {close!r}? " if close else ""
    return f"unknown {what} {given!r}; {hint}allowed: {listed or ', '.join(allowed)}"


def closest(given: str, allowed: Sequence[str]) -> str | None:
    """The allowed word that is most like the given one; None where none is like it."""
    return next(iter(difflib.get_close_matches(given, allowed, n=1)), None)


def install(extra: str) -> str:
    """How to install an extra of this package, which is on no index: the command, and where to give it."""
    pinned = "" if extra in _UNPINNED else "-c constraints.txt "
    return f"pip install {pinned}'.[{extra}]' in a clone of hgrpo-control"
