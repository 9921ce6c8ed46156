"""A client of the policy server for a control loop: one connection, no threads, and a deadline on every call."""

from __future__ import annotations

import ssl
import time
from types import TracebackType
from typing import Any

from numpy.typing import ArrayLike

from hgrpo_errors import HgrpoError
from sim2real.client import reply as client_reply
from sim2real.client.reply import Action, UnreadableError
from sim2real.client.websocket_connection import WebSocketConnection
from sim2real.policy.real_numbers import as_array, to_single
from sim2real.protocol.msgpack import pack

__all__ = ["Action", "PolicyClient"]


class PolicyClient:
    """Connection to `url` (ws://HOST:PORT/ or wss://HOST:PORT/policies/NAME); `metadata` is what the server says of it.

    `timeout` is in seconds and holds for every call. Raises ConnectionError where there is no such server, it refuses
    or says what `hgrpo serve` does not, TimeoutError where it does not answer in time, ValueError for what is no URL or
    no token. After a ConnectionError the client is of no further use; after a TimeoutError it is, and the late reply is
    dropped when it comes.
    """

    metadata: dict[str, Any]

    def __init__(
        self, url: str, token: str | None = None, timeout: float = 1.0, context: ssl.SSLContext | None = None
    ) -> None:
        deadline = time.monotonic() + timeout
        if token is not None and not (token.isascii() and token.isprintable()):
            raise HgrpoError("the token holds what a header cannot; allowed: printable ASCII")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._url, self._timeout = url, timeout
        self._sequence = 0
        self._connection = WebSocketConnection(url, headers, deadline, context)
        try:
            self.metadata = client_reply.message(*self._connection.receive(deadline))
        except UnreadableError as error:
            raise self._broken_off(error) from error
        except BaseException:
            self.close()
            raise

    def infer(self, observation: ArrayLike) -> Action:
        """Action for one observation (O,) of real numbers of any type, which are sent as float32.

        Raises HgrpoError for anything but such an array, RequestError for an observation that the server refuses,
        TimeoutError and ConnectionError.
        """
        reply = self._ask({"observation": to_single(as_array(observation, "(O,)"))})
        try:
            return client_reply.action(reply)
        except UnreadableError as error:
            raise self._broken_off(error) from error

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
        try:
            while True:
                reply = client_reply.message(*self._connection.receive(deadline))
                if client_reply.is_for(reply, self._sequence):
                    break  # others answer requests that were given up
            refusal = client_reply.refusal(reply)
        except UnreadableError as error:
            raise self._broken_off(error) from error
        if refusal is not None:
            raise refusal
        return reply

    def _broken_off(self, error: UnreadableError) -> ConnectionError:
        """End a conversation that nobody can follow; what to raise."""
        self.close()
        return ConnectionAbortedError(f"{self._url} does not speak as hgrpo serve does: {error}")
