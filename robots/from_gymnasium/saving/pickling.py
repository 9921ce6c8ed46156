"""Pickling of an environment's attributes: first objects by name, views by their memory."""

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

_NAMED = "the generator"  # name of np_random in a pickle; every reset makes a new one
_NAMELESS = (types.FunctionType, type, torch.Tensor, gymnasium.Space, EnvSpec)  # checked one by one
_NO_MEMORY = (mujoco.MjData, mujoco.MjModel)


class Pickler(pickle.Pickler):
    """Pickles attributes; objects that are restored in place are only named.

    Args:
        file: Output.
        anchors: Named objects.
        regions: Memory that is saved elsewhere.
        generator: One more object that is only named.
        trial: Whether functions and views are only named, too.
    """

    def __init__(
        self, file: io.BytesIO, anchors: Anchors, regions: Regions, generator: Any = None, trial: bool = False
    ) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._names, self._regions, self._generator, self._trial = anchors.names, regions, generator, trial

    def persistent_id(self, obj: Any) -> Any:
        """Name of an object that is not pickled; None for the others."""
        name = self._names.get(id(obj))
        if name is not None:
            return name
        if obj is self._generator and obj is not None:
            return _NAMED
        kind = type(obj)
        if self._trial and (isinstance(obj, _NAMELESS) or kind.__module__ == mujoco.MjData.__module__):
            if kind is mujoco.MjData:
                raise NoSnapshotError("it has a second MjData, whose memory is not saved")
            return _NAMED
        if kind in ARRAYS:
            place = self._regions.find(obj)
            return None if place is None else (*place, *geometry(obj))
        if kind in _NO_MEMORY:
            raise NoSnapshotError(f"it makes a new {kind.__name__}, whose memory is not saved")
        if isinstance(obj, np.ndarray):
            shown = self._regions.find(obj)
        else:
            shown = self._regions.find_address(obj.data_ptr()) if isinstance(obj, torch.Tensor) else None
        if shown is not None:
            raise NoSnapshotError(f"it makes views of mjData as {kind.__name__}, which would become copies")
        return None

    def reducer_override(self, obj: Any) -> Any:
        """Reduce an array to a view of the same memory, or to a new array."""
        if type(obj) not in ARRAYS or obj.dtype.hasobject:
            return NotImplemented
        owner = root(obj)
        if owner is not obj:
            return view_of, (owner, address(obj) - address(owner), *geometry(obj))
        whole = obj if in_one_piece(obj) else np.ascontiguousarray(obj)
        return new_array, (raw(whole).tobytes(), *geometry(whole))


class Unpickler(pickle.Unpickler):
    """Inverse of Pickler for an instance with given objects and memory."""

    def __init__(self, saved: bytes, anchors: Anchors, regions: Regions, generator: Any) -> None:
        super().__init__(io.BytesIO(saved))
        self._objects, self._parts, self._generator = anchors.objects, regions.parts, generator

    def persistent_load(self, name: Any) -> Any:
        """Object of a name of `persistent_id`."""
        if name == _NAMED:
            return self._generator
        if isinstance(name, tuple):
            part, *place = name
            return view_of(self._parts[part], *place)
        if name not in self._objects:
            raise SnapshotError(f"{name} is missing in another instance")
        return self._objects[name]
