"""Client of the policy server: one connection, no threads, a deadline for every call."""

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
    """Connection to a policy of a server.

    Args:
        url: ws://HOST:PORT/ or wss://HOST:PORT/policies/NAME.
        token: Token of the server.
        timeout: Limit of every call [s].
        context: TLS context for wss://; None trusts the certificates of the system.

    Raises ConnectionError if there is no such server, it refuses the connection, or its reply is not one of
    `hgrpo serve`. Raises TimeoutError for a late reply and HgrpoError for an invalid URL or token. After a
    ConnectionError the client cannot be used any more. After a TimeoutError it can; the late reply is dropped.
    """

    metadata: dict[str, Any]
    """Description of the policy by the server."""

    def __init__(
        self, url: str, token: str | None = None, timeout: float = 1.0, context: ssl.SSLContext | None = None
    ) -> None:
        deadline = time.monotonic() + timeout
        if token is not None and not (token.isascii() and token.isprintable()):
            raise HgrpoError("the token contains other characters than printable ASCII")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._url, self._timeout = url, timeout
        self._sequence = 0
        self._connection = WebSocketConnection(url, headers, deadline, context)
        try:
            self.metadata = client_reply.message(*self._connection.receive(deadline))
        except UnreadableError as error:
            raise self._abort(error) from error
        except BaseException:
            self.close()
            raise

    def infer(self, observation: ArrayLike, reset: bool = False) -> Action:
        """Action for one observation (O,) of real numbers; sent as float32.

        With `reset` the server first forgets what `PolicyClient.reset` deletes.

        Raises HgrpoError for anything but such an array, RequestError for an observation that the server refuses,
        TimeoutError and ConnectionError.
        """
        request = {"observation": to_single(as_array(observation, "(O,)"))}
        reply = self._request(request | {"reset": True} if reset else request)
        try:
            return client_reply.action(reply)
        except UnreadableError as error:
            raise self._abort(error) from error

    def reset(self) -> None:
        """Delete the previous action, which limits the next one, and the memory of the policy on the server.

        Raises as `infer` does.
        """
        self._request({"reset": True})

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._connection.close(time.monotonic() + self._timeout)

    def __enter__(self) -> PolicyClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        self._sequence += 1
        self._connection.send(pack({**request, "sequence": self._sequence}), deadline)
        try:
            while True:
                reply = client_reply.message(*self._connection.receive(deadline))
                if client_reply.is_for(reply, self._sequence):
                    break  # other replies are for requests that were given up
            refusal = client_reply.refusal(reply)
        except UnreadableError as error:
            raise self._abort(error) from error
        if refusal is not None:
            raise refusal
        return reply

    def _abort(self, error: UnreadableError) -> ConnectionError:
        """Close the connection after an unreadable reply; returns the error to raise."""
        self.close()
        return ConnectionAbortedError(f"{self._url} does not reply as hgrpo serve does: {error}")
