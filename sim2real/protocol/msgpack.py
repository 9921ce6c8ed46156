"""msgpack with numpy arrays in the format of openpi, with limits on sizes.

An array is a map {b"__ndarray__": True, b"data": bytes, b"dtype": "<f4", b"shape": [...]}, a numpy scalar a map
{b"__npgeneric__": True, b"data": number, b"dtype": "<f4"}.
"""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from sim2real.protocol.request_error import RequestError

DTYPES = {
    np.dtype(name).str: np.dtype(name)
    for name in ("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}  # computed once, because dtype.str is slow
MAX_DEPTH = 8
MAX_ENTRIES = 64  # of a map or a list in a request
MAX_TEXT = 4096  # bytes of a string
MAX_DIMENSIONS = 4

_ARRAY, _SCALAR = b"__ndarray__", b"__npgeneric__"
_MALFORMED = (ValueError, TypeError, OverflowError, msgpack.exceptions.UnpackException)


def pack(message: Any) -> bytes:
    """Bytes of a message of maps, lists, texts, numbers, arrays and numpy scalars.

    Raises TypeError for any other value and for an array whose dtype is not in DTYPES.
    """
    packed: bytes = msgpack.packb(message, default=_to_map)
    return packed


def unpack(data: bytes, max_bytes: int, max_entries: int = MAX_ENTRIES) -> Any:
    """The message in `data`; arrays are read-only views of it. Claimed sizes are never allocated.

    Args:
        data: Bytes of the message.
        max_bytes: Longest message.
        max_entries: Most entries of a map or a list.

    Raises RequestError ("too_large", "dtype", "shape" or "malformed") for bytes that `pack` does not write, for a
    longer message, for larger maps or lists, and for more than MAX_DEPTH levels.
    """
    if len(data) > max_bytes:
        raise RequestError("too_large", f"message of {len(data)} bytes; allowed: {max_bytes}")
    try:
        message = msgpack.unpackb(
            data,
            object_hook=_from_map,
            max_array_len=max_entries,
            max_map_len=max_entries,
            max_str_len=MAX_TEXT,
            max_bin_len=max_bytes,
            max_ext_len=0,
        )
    except RequestError:
        raise
    except _MALFORMED as error:
        raise RequestError("malformed", f"message is no msgpack within the limits: {_one_line(error)}") from error
    _check_depth(message, MAX_DEPTH)
    return message


def _to_map(value: Any) -> dict[bytes, Any]:
    if isinstance(value, np.ndarray):
        return {_ARRAY: True, b"data": value.tobytes(), b"dtype": _name(value.dtype), b"shape": value.shape}
    if isinstance(value, np.generic):
        return {_SCALAR: True, b"data": value.item(), b"dtype": _name(value.dtype)}
    raise TypeError(f"cannot send {type(value).__name__}; allowed: maps, lists, texts, numbers and numpy arrays")


def _name(dtype: np.dtype[Any]) -> str:
    name = _NAMES.get(dtype)
    if name is None:
        raise TypeError(f"cannot send dtype {dtype}; allowed: {', '.join(DTYPES)}")
    return name


def _from_map(value: dict[Any, Any]) -> Any:
    if _ARRAY in value:
        return _array(value)
    if _SCALAR in value:
        return _scalar(value)
    return value


def _array(value: dict[Any, Any]) -> NDArray[Any]:
    dtype, data, shape = _dtype(value), value.get(b"data"), value.get(b"shape")
    if type(data) is not bytes or type(shape) is not list:
        raise RequestError("malformed", "array without bytes or without a shape")
    if len(shape) > MAX_DIMENSIONS:
        raise RequestError("shape", f"array of {len(shape)} dimensions; allowed: {MAX_DIMENSIONS}")
    for size in shape:
        if type(size) is not int or size < 0:
            raise RequestError("shape", "the shape of an array must contain sizes of 0 or more")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise RequestError("shape", f"array of {len(data)} bytes does not fill its shape and dtype")
    return np.frombuffer(data, dtype).reshape(shape)


def _scalar(value: dict[Any, Any]) -> np.generic:
    dtype, number = _dtype(value), value.get(b"data")
    if type(number) not in (bool, int, float):
        raise RequestError("malformed", "numpy scalar without a number")
    with np.errstate(over="ignore"):
        scalar: np.generic = dtype.type(number)
    return scalar


def _dtype(value: dict[Any, Any]) -> np.dtype[Any]:
    name = value.get(b"dtype")
    if type(name) is not str or name not in DTYPES:
        given = repr(name[:20]) if type(name) is str else type(name).__name__
        raise RequestError("dtype", f"array of dtype {given}; allowed: {', '.join(DTYPES)}")
    return DTYPES[name]


def _check_depth(value: Any, levels: int) -> None:
    if type(value) is dict:
        children = value.values()
    elif type(value) is list:
        children = value  # type: ignore[assignment]
    else:
        return
    if not levels:
        raise RequestError("too_large", f"message is nested deeper than {MAX_DEPTH} levels")
    for child in children:
        _check_depth(child, levels - 1)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
