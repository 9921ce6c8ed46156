"""What to say of a word that is not among those allowed; importable without torch, unlike robots.registry, which has
the same for simulators."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def nearest(given: str, allowed: Sequence[str]) -> str:
    """Second half of an error message: the closest allowed word, or all of them where none is close."""
    close = _closest(given, allowed)
    return f"did you mean {close!r}?" if close else f"allowed: {', '.join(allowed)}"


def unknown(what: str, given: object, allowed: Sequence[str], listed: str = "") -> str:
    """A whole error message: the closest allowed word if one is close, and all of them, or what is `listed` instead."""
    close = _closest(str(given), allowed)
    hint = f"did you mean {close!r}? " if close else ""
    return f"unknown {what} {given!r}; {hint}allowed: {listed or ', '.join(allowed)}"


def _closest(given: str, allowed: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(given, allowed, n=1)), None)
