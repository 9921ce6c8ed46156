"""States as nested lists of tensors, so that a checkpoint names no class of this package."""

from __future__ import annotations

from typing import Any


def to_lists(state: Any) -> Any:
    """Nested lists of the tensors of a state."""
    return [to_lists(part) for part in state] if isinstance(state, tuple) else state


def from_lists(like: Any, saved: Any) -> Any:
    """The inverse of `to_lists`, with the types of `like` and on its device."""
    if not isinstance(like, tuple):
        return saved.to(like.device)
    return type(like)(*(from_lists(a, b) for a, b in zip(like, saved, strict=True)))
