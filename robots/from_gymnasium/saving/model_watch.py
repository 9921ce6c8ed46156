"""Detection of changes of a MuJoCo model."""

from __future__ import annotations

import ctypes
from typing import Any

import mujoco
import numpy as np

_PICTURES = ("tex_data",)  # large, and not part of the physics
_GAP = 64  # bytes between two arrays of the buffer, at most


class ModelWatch:
    """Compares a model with its first state; fast enough for every step."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        spans: list[list[int]] = []
        for first, end in sorted(_spans(model)):
            if spans and first <= spans[-1][1] + _GAP:
                spans[-1][1] = max(spans[-1][1], end)
            else:
                spans.append([first, end])
        self.parts = [_bytes_at(first, end) for first, end in spans]
        """Views (n,) uint8 of the model's memory."""
        self._original = [part.copy() for part in self.parts]
        self._names = [
            (part, name)
            for part in (model.opt, model.stat)
            for name in dir(part)
            if not name.startswith("_") and not callable(getattr(part, name))
        ]
        self._options = self._read_options()

    @property
    def changed(self) -> bool:
        """Whether any number of the model has changed."""
        pairs = zip(self.parts, self._original, strict=True)
        return not all(np.array_equal(a, b) for a, b in pairs) or self._read_options() != self._options

    def _read_options(self) -> list[Any]:
        """Every number of `model.opt` and `model.stat`."""
        values = [getattr(part, name) for part, name in self._names]
        return [value.tobytes() if isinstance(value, np.ndarray) else value for value in values]


def _spans(model: mujoco.MjModel) -> list[tuple[int, int]]:
    """First and last address of every array except textures."""
    found = []
    for name in dir(model):
        array: Any = getattr(model, name) if not name.startswith("_") and name not in _PICTURES else None
        if isinstance(array, np.ndarray) and array.size:
            start = int(array.__array_interface__["data"][0])
            found.append((start, start + array.nbytes))
    return found


def _bytes_at(first: int, end: int) -> np.ndarray:
    return np.ctypeslib.as_array((ctypes.c_uint8 * (end - first)).from_address(first))
