"""Conversion of observations to arrays in single precision."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hgrpo_errors import HgrpoError


def as_array(observation: ArrayLike, expected: str) -> NDArray[np.generic]:
    """Observation as an array; raises HgrpoError, with the `expected` shape, if it is none."""
    try:
        return np.asarray(observation)
    except ValueError as error:
        raise HgrpoError(f"observation is no array; expected {expected}: {error}") from error


def to_single(given: NDArray[np.generic]) -> NDArray[np.float32]:
    """The same numbers in float32; numbers that are too large become infinite.

    Raises HgrpoError for another type than real numbers.
    """
    if given.dtype == np.float32:  # the usual case
        return cast(NDArray[np.float32], given)
    if given.dtype.kind not in "fiu":  # numpy would parse text and drop imaginary parts silently
        raise HgrpoError(f"observation has dtype {given.dtype}; expected real numbers, convertible to float32")
    with np.errstate(over="ignore"):
        return given.astype(np.float32)
