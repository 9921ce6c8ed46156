"""WebSocket connection of a client: blocking, without threads, with a deadline for every call."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from hgrpo_errors import HgrpoError, printable

LARGEST_MESSAGE = 1 << 20  # bytes


class WebSocketConnection:
    """A connection; deadlines are instants of time.monotonic() [s].

    Args:
        url: ws://... or wss://...
        headers: Additional headers of the handshake.
        deadline: Deadline of the handshake.
        context: TLS context for wss://; None trusts the certificates of the system.

    Raises HgrpoError for an invalid URL, ConnectionError if no server listens, the network fails or the server refuses,
    and TimeoutError at the deadline. In every call the last two name the URL.
    """

    def __init__(
        self, url: str, headers: dict[str, str], deadline: float, context: ssl.SSLContext | None = None
    ) -> None:
        try:
            uri = parse_uri(url)
        except (InvalidURI, ValueError) as error:
            raise _invalid_url(url) from error
        self._url = url
        self._protocol = ClientProtocol(uri, max_size=LARGEST_MESSAGE)
        self._frames: list[Frame] = []
        self._unsent = bytearray()  # bytes that a call could not send in time
        with self._named_errors():
            try:
                self._socket = socket.create_connection((uri.host, uri.port), timeout=_left(deadline))
            except ValueError as error:  # invalid host name
                raise _invalid_url(url) from error
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if uri.secure:
                    context = context or ssl.create_default_context()
                    self._socket = context.wrap_socket(self._socket, server_hostname=uri.host)
                self._shake_hands(headers, deadline)
            except BaseException:
                self._socket.close()
                raise

    def send(self, data: bytes, deadline: float) -> None:
        """Send one binary message; raises ConnectionError, TimeoutError.

        Bytes that are unsent at the deadline are sent first in a later call, so that frames stay whole.
        """
        if self._protocol.state is not State.OPEN:
            raise ConnectionResetError(f"the connection to {self._url} has ended; connect again")
        with self._named_errors():
            self._flush(deadline)
            self._protocol.send_binary(data)
            self._flush(deadline)

    def receive(self, deadline: float) -> tuple[bytes, bool]:
        """The next message, and whether it is a text; raises ConnectionError, TimeoutError.

        A message that is incomplete at the deadline is returned by a later call.
        """
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.opcode in (Opcode.BINARY, Opcode.TEXT) and frame.fin:
                    return bytes(frame.data), frame.opcode is Opcode.TEXT
                if frame.opcode is Opcode.CONT or not frame.fin:
                    raise ConnectionAbortedError(f"{self._url} sends fragmented messages; expected whole ones")
            if self._protocol.state is not State.OPEN:
                why = printable(str(self._protocol.close_rcvd or self._protocol.parser_exc or "no reason given"))
                raise ConnectionResetError(f"{self._url} has ended the connection: {why}")
            with self._named_errors():
                self._read(deadline)
                self._frames += [event for event in self._protocol.events_received() if isinstance(event, Frame)]
                self._flush(deadline)  # answers to pings

    def close(self, deadline: float) -> None:
        """Close the connection in order; a second call does nothing."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close()
            with contextlib.suppress(OSError):  # the other side has closed it already
                self._flush(deadline)
        self._socket.close()

    def _shake_hands(self, headers: dict[str, str], deadline: float) -> None:
        request = self._protocol.connect()
        for name, value in headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush(deadline)
        while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
            self._read(deadline)
        if self._protocol.handshake_exc is not None:
            raise ConnectionRefusedError(
                f"the server refuses the connection: {printable(str(self._protocol.handshake_exc))}"
            )
        self._frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]

    def _read(self, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        data = self._socket.recv(65536)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()

    def _flush(self, deadline: float) -> None:
        self._unsent += b"".join(self._protocol.data_to_send())
        while self._unsent:
            self._socket.settimeout(_left(deadline))
            del self._unsent[: self._socket.send(self._unsent)]

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turn errors of the network into ConnectionError or TimeoutError with the URL."""
        try:
            yield
        except TimeoutError as error:
            raise TimeoutError(f"no answer in time from {self._url}") from error
        except ConnectionRefusedError as error:
            why = error if error.errno is None else "connection refused: no server listens there"
            raise ConnectionRefusedError(f"{self._url}: {why}") from error
        except OSError as error:  # no route, unknown host, TLS
            raise ConnectionError(f"{self._url}: {printable(str(error.strerror or error))}") from error


def _invalid_url(url: str) -> HgrpoError:
    return HgrpoError(f"{url!r} is no address of a WebSocket; allowed: ws://HOST:PORT/ or wss://HOST:PORT/")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0.0:
        raise TimeoutError
    return left
