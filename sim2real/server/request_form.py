"""Requests that differ in nothing but their numbers: their form is found once, and then only its blanks are read.

Whatever asks for actions again and again has the same bytes around observation and sequence number; reading all of
them as msgpack costs several times as much.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.server.history import LARGEST_SEQUENCE
from sim2real.server.rejection import Rejected
from sim2real.server.wire import pack, unpack

_BLANKS = {"observation", "sequence"}
_SEQUENCE = b"\xa8sequence"
_INTEGERS = {2: 0xCC, 3: 0xCD, 5: 0xCE, 9: 0xCF}  # first byte by length: unsigned, of 1, 2, 4 and 8 bytes
_MOST_PLACES = 4  # where an observation's bytes are looked for


class RequestForm:
    """A request of an observation and, at its end, perhaps a sequence number."""

    def __init__(self, before: bytes, after: bytes, observation: NDArray[Any], is_numbered: bool) -> None:
        self._before, self._after = before, after
        self._end = len(before) + observation.nbytes
        self._dtype, self._shape = observation.dtype, observation.shape
        self._is_numbered = is_numbered

    @classmethod
    def of(cls, message: bytes, fields: dict[str, Any]) -> RequestForm | None:
        """The form of a message that holds these fields, None for one that has none.

        Other numbers are put into the blanks to see that nothing else hangs on them.
        """
        observation = fields.get("observation")
        if not isinstance(observation, np.ndarray) or not observation.size or fields.keys() - _BLANKS:
            return None
        data, at = observation.tobytes(), -1
        for _ in range(_MOST_PLACES):
            if (at := message.find(data, at + 1)) < 0:
                return None
            after = message[at + len(data) :]
            if "sequence" in fields:
                after = after[: after.rfind(_SEQUENCE) + len(_SEQUENCE)]
            form = cls(message[:at], after, observation, "sequence" in fields)
            if form._holds():
                return form
        return None

    def read(self, message: bytes) -> dict[str, Any] | None:
        """What `unpack` would read from a message of this form; None for another one."""
        if not message.startswith(self._before):
            return None
        data, after = message[len(self._before) : self._end], message[self._end :]
        if not self._is_numbered:
            if after != self._after:
                return None
            return {"observation": np.frombuffer(data, self._dtype).reshape(self._shape)}
        sequence = _integer(after[len(self._after) :])
        if sequence is None or not after.startswith(self._after):
            return None
        return {"observation": np.frombuffer(data, self._dtype).reshape(self._shape), "sequence": sequence}

    def _holds(self) -> bool:
        for sequence in (0, 1 << 7, 1 << 40):
            data = bytes([sequence % 251]) * (self._end - len(self._before))
            message = self._before + data + self._after + (pack(sequence) if self._is_numbered else b"")
            try:
                fields = unpack(message, len(message))
            except Rejected:
                return False
            if pack(fields) != pack(self.read(message)):
                return False
        return True


def _integer(data: bytes) -> int | None:
    """A sequence number in msgpack, None for what is none."""
    if len(data) == 1 and data[0] < 128:
        return data[0]
    if len(data) in _INTEGERS and data[0] == _INTEGERS[len(data)]:
        number = int.from_bytes(data[1:], "big")
        return number if number <= LARGEST_SEQUENCE else None
    return None
