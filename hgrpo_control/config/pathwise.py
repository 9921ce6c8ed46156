"""Settings of slopes, the derivatives of a differentiable simulator; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass

from hgrpo_errors import nearest

LEAST_DISCOUNT = 1e-6
"""Least gamma^n of a branch: below it the slopes of its last steps lose their digits."""
_WORDS = ("off", "auto")


@dataclass(frozen=True, kw_only=True)
class PathwiseSettings:
    """How much of the policy gradient comes from slopes."""

    pathwise: str = "off"
    """Share alpha of slopes in the policy gradient: off, auto (chosen by variances), or a number above 0, at most 1."""

    @property
    def uses_slopes(self) -> bool:
        """Whether slopes are recorded."""
        return self.pathwise != "off"

    @property
    def fixed_share(self) -> float | None:
        """alpha where it is a number, else None."""
        return None if self.pathwise in _WORDS else float(self.pathwise)

    def pathwise_problem(self) -> str | None:
        """Error line for a share that is not allowed; None otherwise."""
        if self.pathwise in _WORDS:
            return None
        try:
            share = float(self.pathwise)
        except ValueError:
            return f"pathwise is {self.pathwise!r}; {nearest(self.pathwise, _WORDS)}, or a number above 0, at most 1"
        if not 0.0 < share <= 1.0:
            return f"pathwise must be off, auto, or a number above 0, at most 1; given {self.pathwise}"
        return None
