"""A client of the policy server for a control loop: one connection, no threads, and a deadline on every call."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidURI, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from sim2real.server.rejection import Rejected
from sim2real.server.wire import pack, unpack

_LARGEST_REPLY = 1 << 20
_MOST_ENTRIES = 1 << 16


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
        try:
            uri = parse_uri(url)
        except InvalidURI as error:
            raise ValueError(f"{url!r} is no address of a policy server; expected ws://HOST:PORT/") from error
        self._timeout = timeout
        self._sequence = 0
        self._protocol = ClientProtocol(uri, max_size=_LARGEST_REPLY)
        deadline = time.monotonic() + timeout
        self._socket = socket.create_connection((uri.host, uri.port), timeout=timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if uri.secure:
                context = context or ssl.create_default_context()
                self._socket = context.wrap_socket(self._socket, server_hostname=uri.host)
            self._shake_hands(token, deadline)
            self.metadata = unpack(bytes(self._receive(deadline).data), _LARGEST_REPLY, _MOST_ENTRIES)
        except BaseException:
            self._socket.close()
            raise

    def infer(self, observation: ArrayLike) -> Action:
        """Action for one observation (O,).

        Raises Rejected for an observation that the server refuses, TimeoutError, ConnectionError.
        """
        reply = self._ask({"observation": np.asarray(observation)})
        return Action(
            reply["actions"][0], reply["version"], reply["limited"], 1e-3 * reply["server_timing"]["infer_ms"]
        )

    def reset(self) -> None:
        """Make the server forget the previous action: the next one is not limited by it. Raises as `infer` does."""
        self._ask({"reset": True})

    def close(self) -> None:
        """End the connection; again does nothing."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close()
            with contextlib.suppress(OSError):  # the other side has gone already
                self._flush(time.monotonic() + self._timeout)
        self._socket.close()

    def __enter__(self) -> PolicyClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        if self._protocol.state is not State.OPEN:
            raise ConnectionResetError("the connection has ended; make another client")
        self._sequence += 1
        self._protocol.send_binary(pack({**request, "sequence": self._sequence}))
        self._flush(deadline)
        while True:
            frame = self._receive(deadline)
            if frame.opcode is Opcode.BINARY:
                reply: dict[str, Any] = unpack(bytes(frame.data), _LARGEST_REPLY, _MOST_ENTRIES)
            else:
                reply = json.loads(bytes(frame.data))
            if reply.get("sequence") not in (None, self._sequence):
                continue  # the answer to a request that was given up
            if "error" in reply:
                raise Rejected(reply["reason"], reply["error"])
            return reply

    def _shake_hands(self, token: str | None, deadline: float) -> None:
        request = self._protocol.connect()
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        self._protocol.send_request(request)
        self._flush(deadline)
        while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
            self._read(deadline)
        if isinstance(self._protocol.handshake_exc, (InvalidHandshake, ProtocolError, EOFError)):
            raise ConnectionRefusedError(f"the server refuses: {self._protocol.handshake_exc}")
        self._frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]

    def _receive(self, deadline: float) -> Frame:
        """The next text or binary frame."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.opcode in (Opcode.BINARY, Opcode.TEXT):
                    return frame
            if self._protocol.state is not State.OPEN:
                raise ConnectionResetError(f"the server has ended the connection: {self._protocol.close_exc}")
            self._read(deadline)
            self._frames += [event for event in self._protocol.events_received() if isinstance(event, Frame)]
            self._flush(deadline)  # pongs

    def _read(self, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        data = self._socket.recv(65536)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()

    def _flush(self, deadline: float) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.settimeout(_left(deadline))
                self._socket.sendall(data)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0.0:
        raise TimeoutError("the policy server did not answer in time")
    return left
