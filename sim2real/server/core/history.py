"""State of a stream of requests; nothing else is kept between requests."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from itertools import count

import numpy as np
from numpy.typing import NDArray

from sim2real.protocol.request_error import RequestError
from sim2real.server.core.policies import Version

LARGEST_SEQUENCE = 2**63 - 1

_numbers = count(1)


class History:
    """Previous action (A,), memory of the policy and last sequence number of one stream; `number` identifies it."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.previous: NDArray[np.float32] | None = None
        self.sequence = -1
        self.fresh = True
        self._memory: NDArray[np.float32] | None = None
        self._version, self._used = "", 0.0

    def reset(self) -> None:
        """Delete the previous action and the memory; the last sequence number is kept."""
        self.previous = self._memory = None
        self.fresh = True

    def memory(self, version: Version) -> NDArray[np.float32]:
        """Memory (1, M) for a version; that of another version has no meaning for it and is not used."""
        if self._memory is None or self._version != version.number:
            return version.policy.no_memory(1)
        return self._memory

    def remember(self, memory: NDArray[np.float32], version: Version, now: float) -> None:
        """Keep the memory (1, M) of a version at an instant [s]."""
        self._memory, self._version, self._used = memory, version.number, now

    def remembers(self, since: float = -math.inf) -> bool:
        """Whether there is a memory that was used at the instant `since` [s] or later."""
        return self._memory is not None and self._used >= since

    def advance(self, sequence: object) -> None:
        """Store the sequence number of a request.

        Raises RequestError unless it is above the last one.
        """
        check_sequence(sequence)
        if sequence <= self.sequence:  # type: ignore[operator]
            raise RequestError("stale", f"sequence {sequence} came after {self.sequence} and is dropped")
        self.sequence = sequence  # type: ignore[assignment]


def check_sequence(sequence: object) -> None:
    """Raise RequestError unless `sequence` is an integer from 0 to 2^63 - 1."""
    if type(sequence) is not int or not 0 <= sequence <= LARGEST_SEQUENCE:
        raise RequestError("malformed", "sequence must be an integer from 0 to 2^63 - 1")


class Histories:
    """Histories by key, at most `most` of them; the least recently used one is deleted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._streams: OrderedDict[Hashable, History] = OrderedDict()

    def start(self, key: Hashable) -> History:
        """Start a new history, in place of an earlier one with this key."""
        self._streams[key] = history = History()
        self._streams.move_to_end(key)
        if len(self._streams) > self._most:
            self._streams.popitem(last=False)
        return history

    def get(self, key: Hashable) -> History:
        """The history of a key.

        Raises RequestError if it was not started, has ended or was deleted.
        """
        if key not in self._streams:
            raise RequestError("unknown_stream", "this sequence_id has no history; begin it with sequence_start")
        self._streams.move_to_end(key)
        return self._streams[key]

    def end(self, key: Hashable) -> None:
        """Delete the history of a key, if there is one."""
        self._streams.pop(key, None)
