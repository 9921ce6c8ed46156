"""Settings that would do nothing beside the others; importable without torch."""

from __future__ import annotations

import dataclasses
from typing import Any


def inert_problem(settings: Any, names: tuple[str, ...], reason: str) -> str | None:
    """Which of these settings was given though it does nothing, in one line that ends with the reason.

    None where all have their defaults: a setting that repeats its default is not told from one left out.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    for name in names:
        if getattr(settings, name) != defaults[name]:
            return f"{name} {getattr(settings, name)} does nothing {reason}"
    return None
