"""Messages between a simulator and its workers.

A message is one byte of kind, eight bytes of length, and the content.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

ROWS, FACTS, FAILED = b"R", b"F", b"X"


def send(stream: BinaryIO, kind: bytes, content: bytes) -> None:
    """Write one message.

    Args:
        stream: Output.
        kind: One byte.
        content: The content.

    Raises:
        BrokenPipeError: The other side is closed.
    """
    stream.write(kind + struct.pack("<Q", len(content)) + content)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[bytes, bytes]:
    """Read kind and content of the next message.

    Raises EOFError if the other side is closed.
    """
    head = _exactly(stream, 9)
    return head[:1], _exactly(stream, struct.unpack("<Q", head[1:])[0])


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError("the stream ended inside a message" if content else "the stream ended")
    return content
