"""Attributes of an environment as bytes: what it was made of by name, views by the memory that they show."""

from __future__ import annotations

import io
import pickle
import types
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec

from robots.from_gymnasium.saving.anchors import Anchors, NoSnapshotError, SnapshotError
from robots.from_gymnasium.saving.memory import (
    ARRAYS,
    Regions,
    address,
    geometry,
    in_one_piece,
    new_array,
    raw,
    root,
    view_of,
)

_NAMED = "the generator"  # in a pickle: np_random, of which there is a new one after every reset
_NAMELESS = (types.FunctionType, type, torch.Tensor, gymnasium.Space, EnvSpec)  # looked at one by one
_NO_MEMORY = (mujoco.MjData, mujoco.MjModel)


class Pickler(pickle.Pickler):
    """Pickles attributes; `generator` is an object that is only named, and in a `trial` so are functions and views."""

    def __init__(
        self, file: io.BytesIO, anchors: Anchors, regions: Regions, generator: Any = None, trial: bool = False
    ) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._names, self._regions, self._generator, self._trial = anchors.names, regions, generator, trial

    def persistent_id(self, obj: Any) -> Any:
        """The name that stands for an object; None for one that is pickled."""
        name = self._names.get(id(obj))
        if name is not None:
            return name
        if obj is self._generator and obj is not None:
            return _NAMED
        kind = type(obj)
        if self._trial and (isinstance(obj, _NAMELESS) or kind.__module__ == mujoco.MjData.__module__):
            if kind is mujoco.MjData:
                raise NoSnapshotError("it keeps a second MjData, whose memory no snapshot holds")
            return _NAMED
        if kind in ARRAYS:
            place = self._regions.find(obj)
            return None if place is None else (*place, *geometry(obj))
        if kind in _NO_MEMORY:
            raise NoSnapshotError(f"it makes {kind.__name__} anew, whose memory no snapshot holds")
        if isinstance(obj, np.ndarray):
            shown = self._regions.find(obj)
        else:
            shown = self._regions.find_address(obj.data_ptr()) if isinstance(obj, torch.Tensor) else None
        if shown is not None:
            raise NoSnapshotError(f"it makes views of mjData as {kind.__name__}, which a snapshot would freeze")
        return None

    def reducer_override(self, obj: Any) -> Any:
        """How an array is made anew: as a view of the same memory as before, or with memory of its own."""
        if type(obj) not in ARRAYS or obj.dtype.hasobject:
            return NotImplemented
        owner = root(obj)
        if owner is not obj:
            return view_of, (owner, address(obj) - address(owner), *geometry(obj))
        whole = obj if in_one_piece(obj) else np.ascontiguousarray(obj)
        return new_array, (raw(whole).tobytes(), *geometry(whole))


class Unpickler(pickle.Unpickler):
    """The inverse, into an instance whose own objects and memory are given."""

    def __init__(self, saved: bytes, anchors: Anchors, regions: Regions, generator: Any) -> None:
        super().__init__(io.BytesIO(saved))
        self._objects, self._parts, self._generator = anchors.objects, regions.parts, generator

    def persistent_load(self, name: Any) -> Any:
        """What a name of `persistent_id` stands for."""
        if name == _NAMED:
            return self._generator
        if isinstance(name, tuple):
            part, *place = name
            return view_of(self._parts[part], *place)
        if name not in self._objects:
            raise SnapshotError(f"{name} is missing in another instance")
        return self._objects[name]
