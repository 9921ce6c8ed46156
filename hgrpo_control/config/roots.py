"""Where executed episodes begin: in initial states, or partly in archived states; importable without torch."""

from __future__ import annotations

from hgrpo_errors import HgrpoError, unknown
from hgrpo_fields import Range

EXECUTED, ARCHIVE = "executed", "archive"
SHARES = Range(above=0, most=0.9)
"""Allowed shares. At least a tenth of the episodes begin in initial states, because only those are reported."""


def archive_share(word: str) -> float | None:
    """Share of new executed episodes that start from the archive; None for `executed`.

    Raises HgrpoError for a word that is not allowed.
    """
    if word == EXECUTED:
        return None
    kind, _, number = word.partition(":")
    if kind != ARCHIVE:
        listed = f"{EXECUTED}, or {ARCHIVE}:SHARE with a SHARE {SHARES}"
        raise HgrpoError(unknown("roots", word, (EXECUTED, ARCHIVE), listed))
    try:
        share = float(number)
    except ValueError:
        share = float("nan")
    if share not in SHARES:
        raise HgrpoError(f"SHARE of roots {ARCHIVE}:SHARE must be a number {SHARES}; given {word}")
    return share


def roots_problem(word: str, restarts_branches: bool) -> str | None:
    """Error line for roots that are not allowed; None otherwise.

    Args:
        word: Value of `Config.roots`.
        restarts_branches: Whether the algorithm begins every branch in a new initial state.
    """
    try:
        share = archive_share(word)
    except HgrpoError as error:
        return str(error)
    if share is not None and restarts_branches:
        return (
            f"roots {word} does nothing with groups initial_states; allowed: roots {EXECUTED}, or groups executed_path"
        )
    return None
