"""Why a request is refused: one word for programs and one line for people."""

from __future__ import annotations

from hgrpo_errors import HgrpoError

REASONS = (
    "malformed",  # not what the protocol allows
    "too_large",  # beyond a limit of the server
    "dtype",
    "shape",
    "not_finite",
    "out_of_range",
    "stale",  # overtaken by a later request of the same stream
    "unknown_stream",  # a sequence_id that was not started, or none where the server needs one
    "unknown_policy",
    "unknown_version",
    "action",  # the policy's action is not finite
    "internal",
)


class RequestError(HgrpoError):
    """Raised for a request that is refused.

    Args:
        reason: One of REASONS.
        message: One line for the client.
    """

    def __init__(self, reason: str, message: str) -> None:
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r}; allowed: {', '.join(REASONS)}")
        super().__init__(message)
        self.reason = reason
