"""Settings that have no effect beside the others; importable without torch."""

from __future__ import annotations

import dataclasses
from typing import Any


def inert_problem(settings: Any, names: tuple[str, ...], reason: str) -> str | None:
    """The first field that was changed although it has no effect.

    A field with its default value counts as left out.

    Args:
        settings: A dataclass.
        names: Its fields that have no effect.
        reason: Why, at the end of the line.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    for name in names:
        if getattr(settings, name) != defaults[name]:
            return f"{name} {getattr(settings, name)} does nothing {reason}"
    return None
