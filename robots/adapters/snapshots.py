"""Saving and restoring a whole Gymnasium environment: physics, attributes of Python, wrappers.

There are two ways. An environment built on Gymnasium's `MujocoEnv` is saved from outside: its mjData byte by byte
(mujoco_memory.py) and every attribute of it and of its wrappers that can be pickled. Any other may offer two methods,

    get_snapshot() -> anything that pickle takes
    set_snapshot(snapshot)

on itself or on one of its wrappers, and answers for everything below; attributes of wrappers around it are saved too.
What neither way sees (globals, closures, files, other processes) is found by `hgrpo check`.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.envs.registration import EnvSpec

from hgrpo_errors import HgrpoError
from robots.adapters.mujoco_memory import MujocoMemory, model_bytes
from robots.adapters.source import Environment, layers, one_line

PROTOCOL = "get_snapshot() and set_snapshot(snapshot)"
_LEFT_OUT = {"env", "spec", "_cached_spec", "metadata", "_metadata", "observation_space", "_observation_space"}
_LEFT_OUT |= {"action_space", "_action_space", "render_mode", "mujoco_renderer", "fullpath"}
_LEFT_OUT |= {"_ezpickle_args", "_ezpickle_kwargs", "_saved_kwargs"}


_SAVED_ELSEWHERE = (mujoco.MjModel, mujoco.MjData, gymnasium.Space, EnvSpec)


class NoSnapshotError(HgrpoError):
    """Raised for an environment whose state cannot be saved; says why in half a sentence."""


class SnapshotError(HgrpoError):
    """Raised for a state that cannot be saved after all; one line that says what is in the way."""


class Snapshots:
    """Saves and restores one environment instance as bytes: `physics` of fixed size and a pickled part.

    `unsaved` names attributes that pickle does not take, such as functions without a name; they are left as they are.
    Raises NoSnapshotError for an environment that offers neither way.
    """

    def __init__(self, env: Environment) -> None:
        found = layers(env)
        provider = next((i for i, layer in enumerate(found) if offers_protocol(layer)), None)
        self.memory: MujocoMemory | None = None
        self._provider: Any = None if provider is None else found[provider]
        self._layers = found[:provider]
        if provider is None:
            bare = found[-1]
            if not isinstance(bare, MujocoEnv):
                raise NoSnapshotError(f"it is no MujocoEnv and does not offer {PROTOCOL}")
            try:
                self.memory = MujocoMemory(bare.data)
            except ValueError as error:
                raise NoSnapshotError(f"{error}, and it does not offer {PROTOCOL}") from error
            self._model, self._original = bare.model, model_bytes(bare.model)
        self._bare = found[-1]
        self._shared = _shared_objects(found)
        self._numbers = {id(thing): number for number, thing in enumerate(self._shared)}
        self._unsaved: set[tuple[int, str]] = set()
        self._skipped = [set(_LEFT_OUT) for _ in self._layers]

    @property
    def physics_size(self) -> int:
        """Bytes of the part of fixed size."""
        return 0 if self.memory is None else self.memory.size

    @property
    def unsaved(self) -> tuple[str, ...]:
        """Attributes found so far that are left out because pickle does not take them, as CLASS.NAME."""
        return tuple(f"{type(self._layers[number]).__name__}.{name}" for number, name in sorted(self._unsaved))

    def learn_attributes(self) -> None:
        """Find attributes that are saved elsewhere, and those that pickle does not take; a later one is an error."""
        for number in range(len(self._layers)):
            for name, value in self._attributes(number).items():
                if isinstance(value, _SAVED_ELSEWHERE):
                    self._skipped[number].add(name)
                    continue
                try:
                    self._dump(value)
                except Exception:
                    self._skipped[number].add(name)
                    self._unsaved.add((number, name))

    def require_constant_model(self) -> None:
        """Raise NoSnapshotError if the environment has changed its model since, which no snapshot holds."""
        if self.memory is not None and not np.array_equal(model_bytes(self._model), self._original):
            raise NoSnapshotError(f"it changes its MuJoCo model as it goes, and it does not offer {PROTOCOL}")

    def save(self, physics: np.ndarray) -> bytes:
        """Write the physics into (physics_size,) uint8 and return the rest; raises SnapshotError."""
        if self.memory is not None:
            self.memory.save(physics)
        attributes = [self._attributes(number) for number in range(len(self._layers))]
        try:
            own = self._provider.get_snapshot() if self._provider is not None else None
            return self._dump((attributes, own, self._random_words()))
        except Exception as error:
            raise SnapshotError(f"{self._culprit(attributes)} cannot be saved: {one_line(error)}") from error

    def restore(self, physics: np.ndarray, rest: bytes) -> None:
        """Bring the instance into a saved state; raises SnapshotError."""
        if self.memory is not None:
            self.memory.restore(physics)
        try:
            attributes, own, words = _Unpickler(rest, [*self._shared, self._own_generator()]).load()
            if self._provider is not None:
                self._provider.set_snapshot(own)
        except Exception as error:
            raise SnapshotError(f"a snapshot cannot be restored: {one_line(error)}") from error
        for number, saved in enumerate(attributes):
            for name in self._attributes(number).keys() - saved.keys():
                del self._layers[number].__dict__[name]
            self._layers[number].__dict__.update(saved)
        if words is not None:
            state, increment, has_half, half = words
            inner = {"state": state, "inc": increment}
            self._own_generator().bit_generator.state = {
                "bit_generator": "PCG64",
                "state": inner,
                "has_uint32": has_half,
                "uinteger": half,
            }

    def _own_generator(self) -> Any:
        """The environment's np_random, which is restored in place: making one anew is slow."""
        generator = self._bare.__dict__.get("_np_random")
        is_usual = isinstance(generator, np.random.Generator) and type(generator.bit_generator) is np.random.PCG64
        return generator if is_usual else np.random.Generator(np.random.PCG64(0))

    def _random_words(self) -> tuple[int, int, int, int] | None:
        """State of np_random where the attributes that are saved refer to it, None elsewhere."""
        generator = self._bare.__dict__.get("_np_random")
        if self._provider is not None or not isinstance(generator, np.random.Generator):
            return None
        state = generator.bit_generator.state
        if state["bit_generator"] != "PCG64":
            return None
        return state["state"]["state"], state["state"]["inc"], state["has_uint32"], state["uinteger"]

    def _attributes(self, number: int) -> dict[str, Any]:
        """What a snapshot holds of a layer: all but what is skipped, and views of the physics."""
        skipped = self._skipped[number]
        found = {name: value for name, value in self._layers[number].__dict__.items() if name not in skipped}
        if self.memory is not None:
            views = [name for name, v in found.items() if type(v) is np.ndarray and self.memory.holds(v)]
            for name in views:
                del found[name]
        return found

    def _dump(self, value: Any) -> bytes:
        file = io.BytesIO()
        numbers = self._numbers
        if self._random_words() is not None:
            numbers = {**numbers, id(self._bare.__dict__["_np_random"]): len(self._shared)}
        _Pickler(file, numbers).dump(value)
        return file.getvalue()

    def _culprit(self, attributes: list[dict[str, Any]]) -> str:
        for layer, found in zip(self._layers, attributes, strict=True):
            for name, value in found.items():
                try:
                    self._dump(value)
                except Exception:
                    return f"{type(layer).__name__}.{name}"
        return f"get_snapshot() of {type(self._provider).__name__}" if self._provider is not None else "the environment"


class _Pickler(pickle.Pickler):
    """Pickles attributes, but names the environment's own parts instead of copying them."""

    def __init__(self, file: io.BytesIO, numbers: dict[int, int]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._numbers = numbers

    def reducer_override(self, obj: Any) -> Any:
        number = self._numbers.get(id(obj))
        return NotImplemented if number is None else (_shared_part, (number,))


class _Unpickler(pickle.Unpickler):
    def __init__(self, saved: bytes, shared: list[Any]) -> None:
        super().__init__(io.BytesIO(saved))
        self._shared = shared

    def find_class(self, module: str, name: str, /) -> Any:
        if module == __name__ and name == _shared_part.__name__:
            return self._shared.__getitem__
        return super().find_class(module, name)


def _shared_part(number: int) -> Any:
    """Stands in a snapshot for a part of the environment itself; the unpickler puts in the part."""
    raise TypeError(f"part {number} of an environment can be restored only into an environment")


def offers_protocol(layer: Environment) -> bool:
    """Whether a layer of an environment has both methods of the protocol."""
    return callable(getattr(layer, "get_snapshot", None)) and callable(getattr(layer, "set_snapshot", None))


def _shared_objects(found: list[Environment]) -> list[Any]:
    """Parts that snapshots name instead of copying: the layers, their spaces, the model, its data and the renderer."""
    parts: list[Any] = list(found)
    for layer in found:
        parts += [layer.observation_space, layer.action_space]
    bare = found[-1]
    return parts + [getattr(bare, name) for name in ("model", "data", "mujoco_renderer") if hasattr(bare, name)]
