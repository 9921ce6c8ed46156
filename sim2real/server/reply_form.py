"""Replies that differ in nothing but their numbers: packed once with blanks, which are then filled in."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.server.wire import pack

# what stands in the blanks at first; no text holds such bytes
_ACTION, _SECONDS, _SEQUENCE = (
    b"\xfe\xff\xfe\xff",
    b"\xfe\xff\xfe\xfe\xff\xfe\xff\xff",
    b"\x7e\xff\xfe\xfe\xff\xfe\xff\xff",
)
_double = struct.Struct(">d").pack
_unsigned = struct.Struct(">Q").pack


class ReplyForm:
    """The reply to an observation: action (1, A), milliseconds, and a sequence number if there was one."""

    def __init__(self, fixed: dict[str, Any], action_size: int, is_timed: bool, is_numbered: bool) -> None:
        action = np.frombuffer(_ACTION * action_size, "<f4").reshape(1, action_size)
        seconds = struct.unpack(">d", _SECONDS)[0]
        timing = {"infer_ms": seconds, **({"prev_total_ms": seconds} if is_timed else {})}
        number = {"sequence": int.from_bytes(_SEQUENCE, "big")} if is_numbered else {}
        rest = pack({**fixed, "actions": action, "server_timing": timing, **number})
        self._parts = []
        for blank in (_ACTION * action_size, *[_SECONDS] * len(timing), *[_SEQUENCE] * len(number)):
            part, _, rest = rest.partition(blank)
            self._parts += [part, blank]
        self._parts.append(rest)

    def fill(self, action: NDArray[np.float32], milliseconds: tuple[float, ...], sequence: int | None) -> bytes:
        """The packed reply; `milliseconds` in the policy and, unless it is the first, of the reply before in all."""
        parts = self._parts.copy()
        parts[1] = action.tobytes()
        for index, value in enumerate(milliseconds):
            parts[3 + 2 * index] = _double(value)
        if sequence is not None:
            parts[-2] = _unsigned(sequence)
        return b"".join(parts)


@lru_cache(maxsize=64)
def reply_form(
    policy: str, version: str, limited: bool, reset: bool, action_size: int, is_timed: bool, is_numbered: bool
) -> ReplyForm:
    """The form of replies with these values; some with and some without a `reset` and the numbers of `ReplyForm`."""
    fixed = {"policy": policy, "version": version, "limited": limited, **({"reset": True} if reset else {})}
    return ReplyForm(fixed, action_size, is_timed, is_numbered)
