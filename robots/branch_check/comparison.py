"""Comparison of two outcomes bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from robots.from_gymnasium.returns import Outcome


def differences(a: Outcome, b: Outcome) -> dict[str, float]:
    """Largest difference of each result that differs; NaN if it is not a number.

    Keys are observation, reward, terminated, truncated and info[KEY].
    """
    found = _unlike("observation", a.observation, b.observation) | _unlike("reward", a.reward, b.reward)
    for name in ("terminated", "truncated"):
        if getattr(a, name) != getattr(b, name):
            found[name] = 1.0
    for key in sorted({*a.info, *b.info}, key=str):
        if key not in a.info or key not in b.info:
            found[f"info[{key}]"] = np.nan
        else:
            found |= _unlike(f"info[{key}]", a.info[key], b.info[key])
    return found


def _unlike(name: str, a: Any, b: Any) -> dict[str, float]:
    """{name: largest difference} of two values, or {} if they are the same; NaN equals NaN."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        found: dict[str, float] = {}
        for key in a:
            found |= _unlike(f"{name}[{key}]", a[key], b[key])
        return found
    if isinstance(a, (str, bytes, type(None))) or isinstance(b, (str, bytes, type(None))):
        return {} if type(a) is type(b) and a == b else {name: np.nan}
    try:
        x, y = np.asarray(a), np.asarray(b)
    except ValueError:  # ragged lists
        return {} if repr(a) == repr(b) else {name: np.nan}
    if x.shape != y.shape or x.dtype != y.dtype:
        return {name: np.nan}
    if x.dtype.kind not in "biufc":
        return {} if repr(a) == repr(b) else {name: np.nan}
    same = (x == y) | ((x != x) & (y != y))
    if same.all():
        return {}
    return {name: float(np.abs(x.astype(np.float64) - y.astype(np.float64))[~same].max())}
