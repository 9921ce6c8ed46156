"""Which memory an array shows, and arrays made anew to show the same."""

from __future__ import annotations

from typing import Any

import numpy as np

ARRAYS = (np.ndarray, np.memmap, np.recarray)
"""Types of array of which the memory is all there is to them."""


class Regions:
    """Memory that is saved elsewhere: `parts` are flat arrays of uint8, the same ones in every instance."""

    def __init__(self, parts: list[np.ndarray]) -> None:
        self.parts = parts
        self._spans = [(address(part), address(part) + part.nbytes) for part in parts]

    def find(self, array: np.ndarray) -> tuple[int, int] | None:
        """Which part an array is a view of, and how many bytes behind its beginning; None for other arrays."""
        return None if array.size == 0 else self.find_address(address(array))

    def find_address(self, where: int) -> tuple[int, int] | None:
        """The same of the first byte of an array."""
        for number, (first, end) in enumerate(self._spans):
            if first <= where < end:
                return number, where - first
        return None


def address(array: np.ndarray) -> int:
    """Of the first entry."""
    return int(array.__array_interface__["data"][0])


def geometry(array: np.ndarray) -> tuple[Any, ...]:
    """How the entries lie: shape, strides, dtype, whether they can be written to."""
    dtype = array.dtype
    return array.shape, array.strides, dtype.str if dtype.names is None else dtype, array.flags.writeable


def root(array: np.ndarray) -> np.ndarray:
    """The array that an array is a view of at last; itself if of none, or of one that is not in one piece."""
    found: Any = array
    while type(found.base) in ARRAYS:
        found = found.base
    return found if in_one_piece(found) else array


def in_one_piece(array: np.ndarray) -> bool:
    """Whether the entries fill their memory without gaps."""
    return array.flags.c_contiguous or array.flags.f_contiguous


def raw(array: np.ndarray) -> np.ndarray:
    """(n,) uint8: the memory of an array in one piece, a copy of another's."""
    plain = np.asarray(array)
    return (plain.T if plain.flags.f_contiguous else plain).reshape(-1).view(np.uint8)


def same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays of one layout hold the same bits."""
    words = np.uint64 if a.nbytes % 8 == 0 else np.uint8
    return np.array_equal(raw(a).view(words), raw(b).view(words))


def view_of(
    owner: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, writeable: bool
) -> np.ndarray:
    """A view of the memory of an array in one piece, `offset` bytes behind its first entry."""
    buffer: Any = raw(owner)
    view: np.ndarray = np.ndarray(shape, dtype, buffer, offset, strides)
    if not writeable:
        view.flags.writeable = False
    return view


def new_array(raw_bytes: bytes, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, writeable: bool) -> Any:
    """An array of its own memory."""
    view: np.ndarray = np.ndarray(shape, dtype, bytearray(raw_bytes), 0, strides)
    if not writeable:
        view.flags.writeable = False
    return view
