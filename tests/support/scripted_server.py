"""A server of a client's protocol that says what a test tells it to, frame by frame."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

pytest.importorskip("msgpack", reason="the extra 'serve' is not installed")
websockets = pytest.importorskip("websockets.server", reason="the extra 'serve' is not installed")

from websockets.frames import Frame, Opcode  # noqa: E402
from websockets.http11 import Request  # noqa: E402

from sim2real.protocol.msgpack import pack, unpack  # noqa: E402

PATIENCE = 60.0  # seconds, of tests that would otherwise hang
METADATA: dict[str, Any] = {
    "task": "hover",
    "robot": "cf2x",
    "control_hz": 100.0,
    "observation": [{"name": name, "unit": "m", "frame": "body"} for name in "uvw"],
    "action": [{"name": "thrust", "unit": "N", "frame": ""}],
    "action_low": [0.0],
    "action_high": [0.6],
    "safe_action": [0.3],
    "trained_on": {"task_options": {}, "airframe": {}},
}
GOOD: dict[str, Any] = {
    "actions": np.array([[0.25]], np.float32),
    "version": "1",
    "limited": False,
    "server_timing": {"infer_ms": 0.5},
    "policy": "hover",
    "sequence": 1,
}


def frame(data: bytes, opcode: int = 2, first: int = 0x80) -> bytes:
    """A whole frame of a server."""
    size = len(data)
    short, long = b"\x7e" + (size & 0xFFFF).to_bytes(2, "big"), b"\x7f" + size.to_bytes(8, "big")
    length = bytes([size]) if size < 126 else short if size <= 0xFFFF else long
    return bytes([first | opcode]) + length + data


def text(value: object) -> bytes:
    return frame(json.dumps(value).encode(), opcode=1)


class Scripted:
    """A server that sends raw bytes in place of a handshake, or one and then a frame, and one for each request."""

    def __init__(self, raw: bytes | None, metadata: bytes, replies: tuple[bytes, ...], stays: bool) -> None:
        self._script, self._stays = (raw, metadata, replies), stays
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listening.getsockname()[1]}/"
        self.requests: list[Any] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._listening.accept()[0] as connection:
            connection.settimeout(PATIENCE)
            with contextlib.suppress(OSError):  # the client has gone
                self._speak(connection)
                if self._stays:
                    self._over.wait(PATIENCE)
                else:
                    connection.shutdown(socket.SHUT_WR)  # says all that was sent, and then that this was the end
                    while connection.recv(65536):
                        pass

    def _speak(self, connection: socket.socket) -> None:
        raw, metadata, replies = self._script
        protocol = websockets.ServerProtocol(max_size=None)
        (request,) = self._read(connection, protocol)
        assert isinstance(request, Request)
        if raw is not None:
            connection.sendall(raw)
            return
        protocol.send_response(protocol.accept(request))
        connection.sendall(b"".join(protocol.data_to_send()) + metadata)
        for reply in replies:
            asked = None
            while asked is None:  # pongs come too
                frames = [event for event in self._read(connection, protocol) if isinstance(event, Frame)]
                if any(frame.opcode is Opcode.CLOSE for frame in frames):
                    return
                asked = next((frame for frame in frames if frame.opcode is Opcode.BINARY), None)
            self.requests.append(unpack(bytes(asked.data), 1 << 20))
            connection.sendall(reply)

    def _read(self, connection: socket.socket, protocol: Any) -> list[Any]:
        while not (events := protocol.events_received()):
            data = connection.recv(65536)
            if not data:
                raise ConnectionResetError
            protocol.receive_data(data)
        return events  # type: ignore[no-any-return]

    def close(self) -> None:
        self._over.set()
        self._listening.close()
        self._thread.join(PATIENCE)


@contextmanager
def scripted(
    *replies: bytes, raw: bytes | None = None, metadata: bytes = frame(pack(METADATA)), stays: bool = False
) -> Iterator[Scripted]:
    server = Scripted(raw, metadata, replies, stays)
    try:
        yield server
    finally:
        server.close()


def reply(**changes: Any) -> bytes:
    return frame(pack(GOOD | changes))
