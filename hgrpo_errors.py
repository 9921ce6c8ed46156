"""The error that users are told in one line, nearest words, and how to install; imports nothing of ours."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_UNPINNED = ("crazyflie", "drones")  # their packages ask for versions of their own, such as an older `packaging`


class HgrpoError(ValueError):
    """Raised for what a user can mend; the message is one line.

    It says what was given, what is allowed and, for a word, the nearest match. The command line prints it without a
    traceback; any other exception is a bug and keeps its own.
    """


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
