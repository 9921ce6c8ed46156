"""What a request is refused with: one word for machines and one line for people."""

from __future__ import annotations

from hgrpo_errors import printable

REASONS = (
    "malformed",  # not what the protocol says
    "too_large",  # beyond a cap of the server
    "dtype",
    "shape",
    "not_finite",
    "out_of_range",
    "stale",  # overtaken by a later request of the same stream
    "history",  # a stream that was never started, or must have one
    "unknown_policy",
    "unknown_version",
    "action",  # the policy's own answer is no number
    "internal",
)


class Rejected(ValueError):
    """Raised for a request that is not served; `reason` is one of REASONS, the message one line for the client."""

    def __init__(self, reason: str, message: str) -> None:
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r}; allowed: {', '.join(REASONS)}")
        super().__init__(printable(message))
        self.reason = reason
