"""Memory of arrays, and arrays that view given memory."""

from __future__ import annotations

from typing import Any

import numpy as np

ARRAYS = (np.ndarray, np.memmap, np.recarray)
"""Types of array that consist of their memory only."""


class Regions:
    """Memory that is saved elsewhere: flat uint8 arrays `parts`, in the same order in every instance."""

    def __init__(self, parts: list[np.ndarray]) -> None:
        self.parts = parts
        self._spans = [(address(part), address(part) + part.nbytes) for part in parts]

    def find(self, array: np.ndarray) -> tuple[int, int] | None:
        """Number of the part that an array views, and its offset there in bytes.

        None for other arrays.
        """
        return None if array.size == 0 else self.find_address(address(array))

    def find_address(self, where: int) -> tuple[int, int] | None:
        """As `find`, for the address of the first byte."""
        for number, (first, end) in enumerate(self._spans):
            if first <= where < end:
                return number, where - first
        return None


def address(array: np.ndarray) -> int:
    """Address of the first entry."""
    return int(array.__array_interface__["data"][0])


def geometry(array: np.ndarray) -> tuple[Any, ...]:
    """Layout of an array: shape, strides, dtype, and whether it is writeable."""
    dtype = array.dtype
    return array.shape, array.strides, dtype.str if dtype.names is None else dtype, array.flags.writeable


def root(array: np.ndarray) -> np.ndarray:
    """Contiguous array that owns the memory of a view, or the array itself."""
    found: Any = array
    while type(found.base) in ARRAYS:
        found = found.base
    return found if in_one_piece(found) else array


def in_one_piece(array: np.ndarray) -> bool:
    """Whether an array is contiguous in C or Fortran order."""
    return array.flags.c_contiguous or array.flags.f_contiguous


def raw(array: np.ndarray) -> np.ndarray:
    """Bytes (n,) uint8 of an array: a view if it is contiguous, else a copy."""
    plain = np.asarray(array)
    return (plain.T if plain.flags.f_contiguous else plain).reshape(-1).view(np.uint8)


def same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays of one layout have the same bits."""
    words = np.uint64 if a.nbytes % 8 == 0 else np.uint8
    return np.array_equal(raw(a).view(words), raw(b).view(words))


def view_of(
    owner: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, writeable: bool
) -> np.ndarray:
    """View of the memory of a contiguous array.

    Args:
        owner: The contiguous array.
        offset: Bytes between its first entry and that of the view.
        shape: Shape of the view.
        strides: Strides of the view in bytes.
        dtype: Type of the entries.
        writeable: Whether the view is writeable.
    """
    buffer: Any = raw(owner)
    view: np.ndarray = np.ndarray(shape, dtype, buffer, offset, strides)
    if not writeable:
        view.flags.writeable = False
    return view


def new_array(raw_bytes: bytes, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, writeable: bool) -> Any:
    """New array with the given bytes and the layout of `geometry`.

    Arguments are those of view_of.
    """
    view: np.ndarray = np.ndarray(shape, dtype, bytearray(raw_bytes), 0, strides)
    if not writeable:
        view.flags.writeable = False
    return view
