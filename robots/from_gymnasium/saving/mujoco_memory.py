"""State of a MuJoCo simulation between two steps, as raw bytes.

mjData has all arrays of fixed size in one buffer, and a few more numbers. Both are saved completely, including derived
quantities: xpos and xipos, which some environments read, may lag behind qpos and can then not be computed from it.
Contacts and constraint rows, whose number varies, are in the arena. mj_step empties the arena before it reads anything,
so a restored simulation has none of them until its next step.
"""

from __future__ import annotations

import ctypes
from typing import Any

import mujoco
import numpy as np

from hgrpo_errors import HgrpoError

# if one of these exists outside the buffer, the layout of mjData is unknown
_ESSENTIAL = ("qpos", "qvel", "act", "ctrl", "qacc_warmstart", "xpos", "xipos", "sensordata", "userdata", "eq_active")
_BESIDE = ("energy", "solver_niter", "solver_nnz", "solver_fwdinv")
_ARENA: tuple[str, ...] = (
    "parena",
    "ncon",
    "ne",
    "nf",
    "nl",
    "nefc",
    "nJ",
    "nA",
    "nY",
    "nefmK",
    "nefmcon",
    "nefmT",
    "nefmA",
)
_ARENA += ("nefmdof", "nefmL", "efm_active", "nisland", "nidof")
_CONSTANT = ("narena", "nbuffer", "nplugin", "signature", "threadpool", "threadlock", "pstack", "pbase")


class MujocoMemory:
    """Saves and restores an mjData as `size` bytes.

    Raises:
        HgrpoError: The model has engine plugins, whose memory cannot be read, or the layout of mjData is unknown.
    """

    def __init__(self, data: mujoco.MjData) -> None:
        if data.nplugin:
            raise HgrpoError("its model has MuJoCo engine plugins, whose memory cannot be saved")
        self.data = data
        self.start, self.end = _buffer_span(data)
        raw = (ctypes.c_uint8 * (self.end - self.start)).from_address(self.start)
        self._buffer = np.ctypeslib.as_array(raw)
        self._beside = [getattr(data, name).view(np.uint8) for name in _BESIDE if hasattr(data, name)]
        self._warnings = [data.warning.number, data.warning.lastinfo]
        numbers = {name: getattr(data, name) for name in dir(data) if not name.startswith("_")}
        kept = [name for name in numbers if name not in _ARENA + _CONSTANT]
        self._wholes = [name for name in kept if isinstance(numbers[name], (int, np.integer))]
        self._reals = [name for name in kept if isinstance(numbers[name], (float, np.floating))]
        self._arena = [name for name in _ARENA if name in numbers]
        self.size = sum(part.nbytes for part in (self._buffer, *self._beside, *self._warnings)) + 8 * (
            len(self._wholes) + len(self._reals)
        )

    def save(self, out: np.ndarray) -> None:
        """Write the simulation into `out` (size,) uint8."""
        data = self.data
        wholes = np.array([getattr(data, name) for name in self._wholes], dtype=np.int64)
        reals = np.array([getattr(data, name) for name in self._reals], dtype=np.float64)
        beside = (part.copy().view(np.uint8) for part in (*self._warnings, wholes, reals))
        np.concatenate((self._buffer, *self._beside, *beside), out=out)

    def restore(self, saved: np.ndarray) -> None:
        """Restore the simulation from `saved` (size,) uint8 of any mjData of the same model."""
        at = 0
        for part in (self._buffer, *self._beside):
            part[:] = saved[at : at + part.size]
            at += part.size
        for warning in self._warnings:
            warning[:] = saved[at : at + warning.nbytes].copy().view(warning.dtype)
            at += warning.nbytes
        middle = at + 8 * len(self._wholes)
        for name, whole in zip(self._wholes, saved[at:middle].copy().view(np.int64).tolist(), strict=True):
            setattr(self.data, name, whole)
        for name, real in zip(self._reals, saved[middle:].copy().view(np.float64).tolist(), strict=True):
            setattr(self.data, name, real)
        for name in self._arena:
            setattr(self.data, name, 0)

    @property
    def parts(self) -> list[np.ndarray]:
        """Memory (n,) uint8 of which arrays may be views."""
        return [self._buffer, *self._beside]


def _buffer_span(data: mujoco.MjData) -> tuple[int, int]:
    """Address of the buffer's first byte and of the byte after its last array."""
    first = data.qpos.__array_interface__["data"][0]
    end = first
    for name in dir(data):
        array: Any = getattr(data, name) if not name.startswith("_") else None
        if not isinstance(array, np.ndarray) or array.size == 0:
            continue
        start = array.__array_interface__["data"][0]
        if first <= start and start + array.nbytes <= first + data.nbuffer:
            end = max(end, start + array.nbytes)
        elif name in _ESSENTIAL:
            raise HgrpoError(f"MuJoCo {mujoco.__version__} keeps {name} outside of mjData's buffer")
    return first, end
