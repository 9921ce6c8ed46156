"""What a server remembers of one stream of requests: nothing else outlives a request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from itertools import count

import numpy as np
from numpy.typing import NDArray

from sim2real.protocol.request_error import RequestError

LARGEST_SEQUENCE = 2**63 - 1

_numbers = count(1)


class History:
    """The previous action (A,) and the last sequence number of one stream; `number` tells streams apart."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.previous: NDArray[np.float32] | None = None
        self.sequence = -1
        self.fresh = True

    def reset(self) -> None:
        """Forget the previous action, as before the first request; sequence numbers go on."""
        self.previous = None
        self.fresh = True

    def advance(self, sequence: object) -> None:
        """Note a request's sequence number; raises RequestError unless it is an integer above the last one."""
        check_sequence(sequence)
        if sequence <= self.sequence:  # type: ignore[operator]
            raise RequestError("stale", f"sequence {sequence} comes after {self.sequence}; dropped")
        self.sequence = sequence  # type: ignore[assignment]


def check_sequence(sequence: object) -> None:
    """Raise RequestError unless `sequence` is an integer from 0 to 2^63 - 1."""
    if type(sequence) is not int or not 0 <= sequence <= LARGEST_SEQUENCE:
        raise RequestError("malformed", "sequence is no integer from 0 to 2^63 - 1")


class Histories:
    """Histories of streams that outlive a connection, by key; beyond `most` the one longest unused is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._streams: OrderedDict[Hashable, History] = OrderedDict()

    def start(self, key: Hashable) -> History:
        """A new history under the key, in place of an earlier one."""
        self._streams[key] = history = History()
        self._streams.move_to_end(key)
        if len(self._streams) > self._most:
            self._streams.popitem(last=False)
        return history

    def get(self, key: Hashable) -> History:
        """The history under the key; raises RequestError if it was never started, has ended or was forgotten."""
        if key not in self._streams:
            raise RequestError("unknown_stream", "this sequence_id has no history; begin it with sequence_start")
        self._streams.move_to_end(key)
        return self._streams[key]

    def end(self, key: Hashable) -> None:
        """Forget the history under the key, if there is one."""
        self._streams.pop(key, None)
