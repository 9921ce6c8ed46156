"""A client of the policy server for a control loop: one connection, no threads, and a deadline on every call."""

from __future__ import annotations

import json
import ssl
import time
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim2real.server.rejection import Rejected
from sim2real.server.wire import pack, unpack
from sim2real.websocket_connection import LARGEST_MESSAGE, WebSocketConnection

_MOST_ENTRIES = 1 << 16  # of an observation in the metadata


class Action(NamedTuple):
    """An action (A,), the version of the policy that gave it, whether a guard changed it, and seconds in the policy."""

    action: NDArray[np.float32]
    version: str
    limited: bool
    infer_seconds: float


class PolicyClient:
    """Connection to `url` (ws://HOST:PORT/ or wss://HOST:PORT/policies/NAME); `metadata` is what the server says of it.

    `timeout` is in seconds and holds for every call. Raises ConnectionError where there is no such server or it
    refuses, TimeoutError where it does not answer in time, ValueError for what is no URL. After a ConnectionError the
    client is of no further use; after a TimeoutError it is, and the late reply is dropped when it comes.
    """

    metadata: dict[str, Any]

    def __init__(
        self, url: str, token: str | None = None, timeout: float = 1.0, context: ssl.SSLContext | None = None
    ) -> None:
        deadline = time.monotonic() + timeout
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._timeout = timeout
        self._sequence = 0
        self._connection = WebSocketConnection(url, headers, deadline, context)
        try:
            self.metadata = unpack(self._connection.receive(deadline)[0], LARGEST_MESSAGE, _MOST_ENTRIES)
        except BaseException:
            self.close()
            raise

    def infer(self, observation: ArrayLike) -> Action:
        """Action for one observation (O,).

        Raises Rejected for an observation that the server refuses, TimeoutError, ConnectionError.
        """
        reply = self._ask({"observation": np.asarray(observation)})
        seconds = 1e-3 * reply["server_timing"]["infer_ms"]
        return Action(reply["actions"][0], reply["version"], reply["limited"], seconds)

    def reset(self) -> None:
        """Make the server forget the previous action: the next one is not limited by it. Raises as `infer` does."""
        self._ask({"reset": True})

    def close(self) -> None:
        """End the connection; again does nothing."""
        self._connection.close(time.monotonic() + self._timeout)

    def __enter__(self) -> PolicyClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        self._sequence += 1
        self._connection.send(pack({**request, "sequence": self._sequence}), deadline)
        while True:
            data, is_text = self._connection.receive(deadline)
            reply: dict[str, Any] = json.loads(data) if is_text else unpack(data, LARGEST_MESSAGE, _MOST_ENTRIES)
            if reply.get("sequence") not in (None, self._sequence):
                continue  # the answer to a request that was given up
            if "error" in reply:
                raise Rejected(reply["reason"], str(reply["error"]))
            return reply
