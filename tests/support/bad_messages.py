"""Frames that no client should send."""

from __future__ import annotations

import random
import struct

from sim2real.protocol.msgpack import pack

KINDS = (
    "truncated",
    "noise",
    "flipped",
    "dtype",
    "object",
    "huge shape",
    "huge claim",
    "deep",
    "not finite",
    "wrong size",
    "no map",
    "unknown key",
)

_DTYPES = ("<c8", "<U4", "|S4", "|V12", "<M8[s]", ">f4", "f4,f4", "float32", "", "\x00", "<i4", "|b1", "<f2")
_GOOD = pack({"observation": {b"__ndarray__": True, b"data": bytes(12), b"dtype": "<f4", b"shape": [3]}})


def malformed(kind: str, generator: random.Random) -> bytes:
    """One frame of that kind; those that are "flipped" may by luck be good ones."""
    match kind:
        case "truncated":
            return _GOOD[: generator.randrange(len(_GOOD))]
        case "noise":
            return b"\xc1" + generator.randbytes(generator.randrange(200))
        case "flipped":
            frame = bytearray(_GOOD)
            for _ in range(generator.randrange(1, 6)):
                frame[generator.randrange(len(frame))] ^= 1 << generator.randrange(8)
            return bytes(frame)
        case "dtype":
            return _observation(dtype=generator.choice(_DTYPES))
        case "object":
            return _observation(dtype=generator.choice(("|O", "O", "object", "=O")), data=generator.randbytes(24))
        case "huge shape":
            return _observation(shape=[generator.choice((2**31, 2**62, -1, 2**16)) for _ in range(4)])
        case "huge claim":
            size = struct.pack(">I", generator.randrange(2**20, 2**32))
            return b"\x81\xabobservation" + generator.choice((b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9")) + size
        case "deep":
            opening = generator.choice((b"\x91", b"\x81\xa1a", b"\xdc\x00\x40"))
            return opening * generator.randrange(10, 600) + b"\xc0"
        case "not finite":
            numbers = [1.0, 2.0, 3.0]
            numbers[generator.randrange(3)] = generator.choice((float("nan"), float("inf"), -float("inf"), 1e30))
            return _observation(data=struct.pack("<3f", *numbers))
        case "wrong size":
            size = generator.choice((0, 1, 2, 4, 300))
            return _observation(data=bytes(4 * size), shape=[size])
        case "no map":
            return pack(generator.choice((None, 1, "text", [1, 2], b"bytes", 1.5, True)))
        case "unknown key":
            return pack({"observation": 1, generator.choice(("prompt", "__class__", "")): 1})
    raise ValueError(kind)


def _observation(data: bytes = bytes(12), dtype: str = "<f4", shape: list[int] | None = None) -> bytes:
    array = {b"__ndarray__": True, b"data": data, b"dtype": dtype, b"shape": [3] if shape is None else shape}
    return pack({"observation": array})
