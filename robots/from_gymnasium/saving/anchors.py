"""Objects of a new environment, which are restored in place.

A closure, a helper object or a second attribute may refer to the same array, list or object. Objects that exist after
the constructor therefore keep their identity: a snapshot contains their names and contents. Objects that the
environment makes later are created again at a restore.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Iterable
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec

from hgrpo_errors import HgrpoError
from robots.from_gymnasium.saving.contents import (
    KINDS,
    is_plain,
    put_state,
    read_state,
)
from robots.from_gymnasium.saving.memory import (
    ARRAYS,
    Regions,
    address,
    geometry,
    raw,
    root,
    same_bytes,
)

_LARGE = 2**15  # bytes; a larger array that never changes is not saved
_ATOMS = (type(None), bool, int, float, complex, str, bytes, types.ModuleType, range, slice)
_ELSEWHERE = (gymnasium.Space, EnvSpec)  # not part of the state


class NoSnapshotError(HgrpoError):
    """An environment whose state cannot be saved; the message is the reason as a clause."""


class SnapshotError(HgrpoError):
    """A state that cannot be saved or restored; the message is the reason."""


class Anchors:
    """Objects by name: shared ones, which are named only, and those that `find` adds.

    Large arrays are taken as constant and are not saved until `changed` finds a change.

    Args:
        shared: Objects to name only.
        regions: Memory that is saved elsewhere.
        dump: `dump(obj, trial)` pickles an object; in a trial functions are only named.
    """

    def __init__(self, shared: Iterable[Any], regions: Regions, dump: Callable[[Any, bool], bytes]) -> None:
        self.objects = {f"part {number}": obj for number, obj in enumerate(shared)}
        self.names = {id(obj): name for name, obj in self.objects.items()}
        self.unsaved: list[str] = []
        """Names of objects that are neither saved nor restored."""
        self.models: list[mujoco.MjModel] = []
        self._regions, self._dump = regions, dump
        self._kinds: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], None]]] = {}
        self._shapes: dict[str, Any] = {}
        self._originals: dict[str, np.ndarray] = {}  # copies of large arrays at the start
        self._digests: dict[str, bytes] = {}
        self._constant: set[str] = set()

    def find(self, value: Any, name: str) -> None:
        """Add an object and all objects in it.

        An object with a lock, a file or the like is not saved at all, so that its parts stay consistent.

        Raises:
            NoSnapshotError: An object can be neither saved nor left out.
        """
        if type(value) in _ATOMS or id(value) in self.names or not self._is_taken(value, name, True):
            return
        waiting = [(value, name)]
        while waiting:
            obj, name = waiting.pop()
            kind = type(obj)
            if kind in _ATOMS or id(obj) in self.names:
                continue
            if isinstance(obj, tuple):
                waiting += [(part, f"{name}[{i}]") for i, part in enumerate(obj)]
            elif kind in ARRAYS:
                self._find_array(obj, name, waiting)
            elif kind in KINDS:
                self._add(obj, name, KINDS[kind])
                waiting += [(part, f"{name}[{key!r}]") for key, part in _items(obj) if type(part) not in _ATOMS]
            elif isinstance(obj, torch.Tensor) and obj.device.type == "cpu" and obj.layout is torch.strided:
                self._add(obj, name, None if self._regions.find_address(obj.data_ptr()) else KINDS[torch.Tensor])
            elif is_plain(obj):
                self._add(obj, name, (read_state, put_state))
                state = read_state(obj)
                for held in state if isinstance(state, tuple) else (state,):
                    waiting += [(part, f"{name}.{key}") for key, part in (held or {}).items()]
            else:
                self._find_other(obj, name)

    def read(self) -> dict[str, Any]:
        """Contents of every object that is saved, by name."""
        found: dict[str, Any] = {}
        for name, (read, _) in self._kinds.items():
            obj = self.objects[name]
            if name in self._shapes and self._shapes[name] != (address(obj), geometry(obj)):
                raise SnapshotError(f"{name} cannot be saved: its memory has been replaced")
            found[name] = self._digests[name] if name in self._constant else read(obj)
        return found

    def write(self, contents: dict[str, Any]) -> None:
        """Restore saved contents in place; raises SnapshotError if an object is missing or differs."""
        for name, content in contents.items():
            if name not in self._kinds:
                raise SnapshotError(f"{name} is missing in another instance")
            write = self._kinds[name][1]
            if name in self._digests and content == self._digests[name]:
                if name not in self._constant:
                    write(self.objects[name], self._originals[name].tobytes())
            elif name in self._constant:
                raise SnapshotError(f"{name} differs between two instances but is constant in each")
            else:
                write(self.objects[name], content)

    @property
    def changed(self) -> list[str]:
        """Constant arrays that have changed, with their sizes; they are saved from now on."""
        found = [name for name in self._constant if not same_bytes(self.objects[name], self._originals[name])]
        self._constant -= set(found)
        return [f"{name} ({self._originals[name].nbytes:,} bytes)" for name in sorted(found)]

    @property
    def left_out(self) -> int:
        """Bytes of the constant arrays."""
        return sum(self._originals[name].nbytes for name in self._constant)

    def keep_all(self) -> None:
        """Save every array, constant or not."""
        self._constant.clear()

    def _add(self, obj: Any, name: str, kind: Any) -> str:
        """Add an object under a unique name, with functions to read and write it, or None."""
        while name in self.objects:
            name += "'"
        self.objects[name], self.names[id(obj)] = obj, name
        if kind is not None:
            self._kinds[name] = kind
        return name

    def _find_array(self, array: np.ndarray, name: str, waiting: list[tuple[Any, str]]) -> None:
        owner = root(array)
        if owner is not array or self._regions.find_address(address(array)) is not None:
            self._add(array, name, None)
            waiting.append((owner, f"{name}.base"))
        elif array.dtype.hasobject:
            self._add(array, name, KINDS[object])
            waiting += [(part, f"{name}[{i}]") for i, part in enumerate(array.flat)]
        else:
            name = self._add(array, name, KINDS[np.ndarray])
            self._shapes[name] = address(array), geometry(array)
            if array.nbytes >= _LARGE or not array.flags.writeable:
                self._originals[name] = array.copy(order="K")
                self._digests[name] = hashlib.sha256(raw(array).data).digest()
                self._constant.add(name)

    def _find_other(self, obj: Any, name: str) -> None:
        if isinstance(obj, mujoco.MjModel):
            self.models.append(obj)
        elif not isinstance(obj, _ELSEWHERE):
            self._is_taken(obj, name, False)  # it is created again in every restore
            return
        self._add(obj, name, None)

    def _is_taken(self, obj: Any, name: str, trial: bool) -> bool:
        """Whether an object can be pickled; if not, it is only named."""
        try:
            self._dump(obj, trial)
            return True
        except NoSnapshotError as error:
            raise NoSnapshotError(f"{error}: {name}") from error
        except Exception:  # pickle passes on any exception of the object
            self.unsaved.append(name)
            self._add(obj, name, None)
            return False


def _items(obj: Any) -> Iterable[tuple[Any, Any]]:
    """Keys and parts of a container with the same order in every process; else nothing."""
    if isinstance(obj, dict):
        return obj.items()
    return enumerate(obj) if hasattr(obj, "__getitem__") and hasattr(obj, "append") else ()
