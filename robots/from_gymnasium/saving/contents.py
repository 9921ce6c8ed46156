"""Contents of objects: how they are read for a snapshot and restored in place."""

from __future__ import annotations

import copyreg
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from hgrpo_errors import HgrpoError

_NO_OBJECTS = (list, dict, tuple, set, frozenset, deque, np.ndarray, int, float, complex, str, bytes, BaseException)
_DEFINED_IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE; not set for functions and modules


def is_plain(obj: Any) -> bool:
    """Whether an object consists of its attributes only and is pickled by them."""
    kind = type(obj)
    known = kind is SimpleNamespace or kind.__flags__ & _DEFINED_IN_PYTHON
    if not known or isinstance(obj, (*_NO_OBJECTS, type)):
        return False
    reduce = SimpleNamespace.__reduce__ if isinstance(obj, SimpleNamespace) else object.__reduce__
    own = kind.__reduce_ex__ is object.__reduce_ex__ and kind.__reduce__ is reduce
    state = getattr(kind, "__getstate__", None) is getattr(object, "__getstate__", None)
    if not own or not state or hasattr(kind, "__setstate__") or kind in copyreg.dispatch_table:
        return False
    try:
        read_state(obj)
    except TypeError:  # memory of an extension module, which Python cannot read
        return False
    return True


def read_state(obj: Any) -> Any:
    """Copy of the attributes of a plain object: a dict, (dict or None, dict of slots), or None."""
    state: Any = obj.__dict__ if isinstance(obj, SimpleNamespace) else object.__reduce_ex__(obj, 2)[2]
    if isinstance(state, tuple):
        return tuple(None if part is None else dict(part) for part in state)
    return None if state is None else dict(state)


def put_state(obj: Any, state: Any) -> None:
    """Set the attributes of a plain object to those of `read_state`, and remove all others."""
    own, slots = state if isinstance(state, tuple) else (state, None)
    present = read_state(obj)
    if hasattr(obj, "__dict__"):
        obj.__dict__.clear()
        obj.__dict__.update(own or {})
    slots = slots or {}
    for name in (present[1] or {}) if isinstance(present, tuple) else {}:
        if name not in slots:
            object.__delattr__(obj, name)
    for name, value in slots.items():
        object.__setattr__(obj, name, value)


def _put_items(obj: Any, content: list[Any]) -> None:
    obj.clear()
    obj.extend(content)


def _put_members(obj: Any, content: Any) -> None:
    obj.clear()
    obj.update(content)


def _put_bytes(array: np.ndarray, content: bytes) -> None:
    if array.size == 0:
        return
    new: np.ndarray = np.frombuffer(content, dtype=array.dtype).reshape(array.shape)
    if array.flags.writeable:
        array[...] = new
    elif array.tobytes() != content:
        raise HgrpoError("a read-only array has changed")


def _read_objects(array: np.ndarray) -> list[Any]:
    return [array[index] for index in np.ndindex(array.shape)]


def _put_objects(array: np.ndarray, content: list[Any]) -> None:
    for index, value in zip(np.ndindex(array.shape), content, strict=True):
        array[index] = value


KINDS: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], None]]] = {
    list: (list, _put_items),
    deque: (list, _put_items),
    bytearray: (bytes, _put_items),
    dict: (dict, _put_members),
    OrderedDict: (dict, _put_members),
    defaultdict: (dict, _put_members),
    Counter: (dict, _put_members),
    set: (set, _put_members),
    np.ndarray: (lambda obj: obj.tobytes(), _put_bytes),
    object: (_read_objects, _put_objects),  # an array of objects
    torch.Tensor: (lambda obj: obj.detach().clone(), lambda obj, content: obj.detach().copy_(content)),
    np.random.Generator: (
        lambda obj: obj.bit_generator.state,
        lambda obj, content: setattr(obj.bit_generator, "state", content),
    ),
    np.random.RandomState: (
        lambda obj: obj.get_state(legacy=False),
        lambda obj, content: obj.set_state(content),
    ),
    random.Random: (lambda obj: obj.getstate(), lambda obj, content: obj.setstate(content)),
}
"""Functions that read and write objects of exactly these types."""
