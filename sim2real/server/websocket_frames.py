"""Messages in a client's frames (RFC 6455, 5.2), at the price of ordinary ones.

Nearly every frame is a whole binary message; those are read and written here, in a third to three fifths of the time
that the library takes. Everything else, from pings to what breaks the rules, goes through the library.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform for which that is not compiled
    from websockets.utils import apply_mask

_WHOLE_BINARY = 0x82
_MASKED = 0x80
_SHORTEST = 6  # bytes of a masked frame without a payload


class Message(NamedTuple):
    """What a client sent, in one frame or several; a text is UTF-8 for sure."""

    data: bytes
    is_text: bool


class WebSocketFrames:
    """Turns bytes into messages and messages into bytes, from after the handshake on; `most` bytes to a message."""

    is_open: bool
    """Whether neither side has said goodbye."""
    has_pending: bool
    """Whether `pending` has something to send."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._library = ServerProtocol(state=State.OPEN, max_size=most)
        self._rest = b""  # of a frame that is not whole yet
        self._broken = False  # the library has to say what is wrong, and hears everything from then on
        self.is_open, self.has_pending = True, False
        self._parts: bytearray | None = None  # of a message in fragments
        self._parts_are_text = False

    def read(self, data: bytes) -> Iterator[Message]:
        """Messages that `data` completes, in order; what is to be sent in answer to other frames is in `pending`."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        at = 0
        while len(data) - at >= 2 and not self._broken:
            length, start = data[at + 1] & 0x7F, at + _SHORTEST
            self._broken = data[at + 1] < _MASKED
            if length >= 126 and not self._broken:
                start += 2 if length == 126 else 8
                if start > len(data):
                    break
                length = int.from_bytes(data[at + 2 : start - 4], "big")
                self._broken = length > self._most
            end = start + length
            if end > len(data) or self._broken:
                break
            if data[at] == _WHOLE_BINARY and self._parts is None:
                yield Message(apply_mask(data[start:end], data[start - 4 : start]), False)
            else:
                yield from self._through_library(data[at:end])
            at = end
        if self._broken:
            yield from self._through_library(data[at:])
        else:
            self._rest = data[at:]

    def binary(self, message: bytes) -> bytes:
        """The frame of a binary message."""
        size = len(message)
        if size < 126:
            return bytes((_WHOLE_BINARY, size)) + message
        if size < 1 << 16:
            return bytes((_WHOLE_BINARY, 126)) + size.to_bytes(2, "big") + message
        return bytes((_WHOLE_BINARY, 127)) + size.to_bytes(8, "big") + message

    def text(self, message: str) -> None:
        """Put a text among what is pending."""
        self._library.send_text(message.encode())
        self._look()

    def ping(self) -> None:
        """Put a ping among what is pending."""
        self._library.send_ping(b"")
        self._look()

    def say_goodbye(self, code: CloseCode, reason: str) -> None:
        """Put a close frame among what is pending, unless there was one."""
        if self.is_open:
            self._library.send_close(code, reason)
            self._look()

    def fail(self, code: CloseCode, reason: str) -> None:
        """Say goodbye to who is not listened to any longer."""
        self._broken = True
        self._library.fail(code, reason)
        self._look()

    def pending(self) -> list[bytes]:
        """Bytes to be sent; b"" means that nothing comes after it."""
        self.has_pending = False
        return self._library.data_to_send()

    def _look(self) -> None:
        """At what the library was made to do; asking it about every message would cost more than the message."""
        self.is_open, self.has_pending = self._library.state is State.OPEN, True

    def _through_library(self, data: bytes) -> Iterator[Message]:
        self._library.receive_data(data)
        self._look()
        self._broken = self._broken or not self.is_open  # what comes after a goodbye is discarded there
        for frame in self._library.events_received():
            if isinstance(frame, Frame) and frame.opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT):
                yield from self._assemble(frame)

    def _assemble(self, frame: Frame) -> Iterator[Message]:
        if self._parts is None:
            self._parts, self._parts_are_text = bytearray(), frame.opcode is Opcode.TEXT
        self._parts += frame.data
        if frame.fin:
            message, self._parts = Message(bytes(self._parts), self._parts_are_text), None
            if message.is_text and not _is_utf8(message.data):
                self.fail(CloseCode.INVALID_DATA, "text that is no UTF-8")
            else:
                yield message


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
