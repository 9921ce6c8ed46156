"""The objects that a new environment is made of, which are restored in place.

A closure, a helper or a second attribute may hold the same array, list or object as an attribute. So whatever is there
when the constructor is done keeps its identity: a snapshot names it by number and holds what is in it. Only what the
environment makes later is made anew.
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

_LARGE = 2**15  # bytes from which an array that never changes is left out of every state
_ATOMS = (type(None), bool, int, float, complex, str, bytes, types.ModuleType, range, slice)
_ELSEWHERE = (gymnasium.Space, EnvSpec)  # no part of the state


class NoSnapshotError(HgrpoError):
    """Raised for an environment whose state cannot be saved; says why in half a sentence."""


class SnapshotError(HgrpoError):
    """Raised for a state that cannot be saved after all; one line that says what is in the way."""


class Anchors:
    """Objects by name: the `shared` ones, which are only named, and those that `find` meets.

    `dump(obj, trial)` pickles an object; a trial is one where functions need not be pickled. Large arrays count as
    constant, and are left out, until `changed` sees a change.
    """

    def __init__(self, shared: Iterable[Any], regions: Regions, dump: Callable[[Any, bool], bytes]) -> None:
        self.objects = {f"part {number}": obj for number, obj in enumerate(shared)}
        self.names = {id(obj): name for name, obj in self.objects.items()}
        self.unsaved: list[str] = []
        """What is named, but neither saved nor restored."""
        self.models: list[mujoco.MjModel] = []
        self._regions, self._dump = regions, dump
        self._kinds: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], None]]] = {}
        self._shapes: dict[str, Any] = {}
        self._originals: dict[str, np.ndarray] = {}  # large arrays as they were at first
        self._digests: dict[str, bytes] = {}
        self._constant: set[str] = set()

    def find(self, value: Any, name: str) -> None:
        """Take in an object and whatever it holds; raises NoSnapshotError for what must not be left out.

        What holds a lock, a file or the like is left alone as a whole: its parts must not change under it.
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
        """What is in every object that is saved."""
        found: dict[str, Any] = {}
        for name, (read, _) in self._kinds.items():
            obj = self.objects[name]
            if name in self._shapes and self._shapes[name] != (address(obj), geometry(obj)):
                raise SnapshotError(f"{name} cannot be saved: its memory has been exchanged in place")
            found[name] = self._digests[name] if name in self._constant else read(obj)
        return found

    def write(self, contents: dict[str, Any]) -> None:
        """Put saved contents back in place; raises SnapshotError for those of other objects."""
        for name, content in contents.items():
            if name not in self._kinds:
                raise SnapshotError(f"{name} is missing in another instance")
            write = self._kinds[name][1]
            if name in self._digests and content == self._digests[name]:
                if name not in self._constant:
                    write(self.objects[name], self._originals[name].tobytes())
            elif name in self._constant:
                raise SnapshotError(f"{name} differs between two instances, and never changes in one")
            else:
                write(self.objects[name], content)

    @property
    def changed(self) -> list[str]:
        """Constants that have changed, with their sizes; from now on they are saved."""
        found = [name for name in self._constant if not same_bytes(self.objects[name], self._originals[name])]
        self._constant -= set(found)
        return [f"{name} ({self._originals[name].nbytes:,} bytes)" for name in sorted(found)]

    @property
    def left_out(self) -> int:
        """Bytes of the constants."""
        return sum(self._originals[name].nbytes for name in self._constant)

    def keep_all(self) -> None:
        """Save every array, constant or not."""
        self._constant.clear()

    def _add(self, obj: Any, name: str, kind: Any) -> str:
        """Name an object; `kind` is how to read and write it, None where that is not done."""
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
            self._is_taken(obj, name, False)  # and made anew in every restore
            return
        self._add(obj, name, None)

    def _is_taken(self, obj: Any, name: str, trial: bool) -> bool:
        """Whether pickle takes an object, which else is only named."""
        try:
            self._dump(obj, trial)
            return True
        except NoSnapshotError as error:
            raise NoSnapshotError(f"{error}: {name}") from error
        except Exception:  # pickle raises whatever the object does
            self.unsaved.append(name)
            self._add(obj, name, None)
            return False


def _items(obj: Any) -> Iterable[tuple[Any, Any]]:
    """Keys and parts of a container whose order is the same in every process."""
    if isinstance(obj, dict):
        return obj.items()
    return enumerate(obj) if hasattr(obj, "__getitem__") and hasattr(obj, "append") else ()
