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

from robots.adapters.mujoco_memory import MujocoMemory, model_bytes
from robots.adapters.source import Environment, layers, one_line

PROTOCOL = "get_snapshot() and set_snapshot(snapshot)"
_LEFT_OUT = {"env", "spec", "_cached_spec", "metadata", "_metadata", "observation_space", "_observation_space"}
_LEFT_OUT |= {"action_space", "_action_space", "render_mode", "mujoco_renderer", "fullpath"}
_LEFT_OUT |= {"_ezpickle_args", "_ezpickle_kwargs", "_saved_kwargs"}


class NoSnapshotError(ValueError):
    """Raised for an environment whose state cannot be saved; says why in half a sentence."""


class SnapshotError(RuntimeError):
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
        self._shared = _shared_objects(found)
        self._numbers = {id(thing): number for number, thing in enumerate(self._shared)}
        self._unsaved: set[tuple[int, str]] = set()

    @property
    def physics_size(self) -> int:
        """Bytes of the part of fixed size."""
        return 0 if self.memory is None else self.memory.size

    @property
    def unsaved(self) -> tuple[str, ...]:
        """Attributes found so far that are left out because pickle does not take them, as CLASS.NAME."""
        return tuple(f"{type(self._layers[number]).__name__}.{name}" for number, name in sorted(self._unsaved))

    def learn_unsaved(self) -> None:
        """Find the attributes that pickle does not take; afterwards a new one is an error."""
        for number, layer in enumerate(self._layers):
            for name, value in self._attributes(number, layer).items():
                try:
                    self._dump(value)
                except Exception:  # noqa: BLE001  (whatever an attribute's own reduction raises, it cannot be saved)
                    self._unsaved.add((number, name))

    def require_constant_model(self) -> None:
        """Raise NoSnapshotError if the environment has changed its model since, which no snapshot holds."""
        if self.memory is not None and not np.array_equal(model_bytes(self._model), self._original):
            raise NoSnapshotError(f"it changes its MuJoCo model as it goes, and it does not offer {PROTOCOL}")

    def save(self, physics: np.ndarray) -> bytes:
        """Write the physics into (physics_size,) uint8 and return the rest; raises SnapshotError."""
        if self.memory is not None:
            self.memory.save(physics)
        attributes = [self._attributes(number, layer) for number, layer in enumerate(self._layers)]
        try:
            own = self._provider.get_snapshot() if self._provider is not None else None
            return self._dump((attributes, own))
        except Exception as error:
            raise SnapshotError(f"{self._culprit(attributes)} cannot be saved: {one_line(error)}") from error

    def restore(self, physics: np.ndarray, rest: bytes) -> None:
        """Bring the instance into a saved state; raises SnapshotError."""
        if self.memory is not None:
            self.memory.restore(physics)
        try:
            attributes, own = _Unpickler(rest, self._shared).load()
            if self._provider is not None:
                self._provider.set_snapshot(own)
        except Exception as error:
            raise SnapshotError(f"a snapshot cannot be restored: {one_line(error)}") from error
        for number, (layer, saved) in enumerate(zip(self._layers, attributes, strict=True)):
            for name in self._attributes(number, layer).keys() - saved.keys():
                del layer.__dict__[name]
            layer.__dict__.update(saved)

    def _attributes(self, number: int, layer: Environment) -> dict[str, Any]:
        return {name: value for name, value in vars(layer).items() if not self._is_left_out(number, name, value)}

    def _is_left_out(self, number: int, name: str, value: Any) -> bool:
        if name in _LEFT_OUT or (number, name) in self._unsaved:
            return True
        if isinstance(value, np.ndarray):
            return self.memory is not None and self.memory.holds(value)  # saved with the physics
        return isinstance(value, (mujoco.MjModel, mujoco.MjData, gymnasium.Space, EnvSpec))

    def _dump(self, value: Any) -> bytes:
        file = io.BytesIO()
        _Pickler(file, self._numbers).dump(value)
        return file.getvalue()

    def _culprit(self, attributes: list[dict[str, Any]]) -> str:
        for layer, found in zip(self._layers, attributes, strict=True):
            for name, value in found.items():
                try:
                    self._dump(value)
                except Exception:  # noqa: BLE001  (which one it is, is all that is asked)
                    return f"{type(layer).__name__}.{name}"
        return f"get_snapshot() of {type(self._provider).__name__}" if self._provider is not None else "the environment"


class _Pickler(pickle.Pickler):
    """Pickles attributes, but names the environment's own parts instead of copying them."""

    def __init__(self, file: io.BytesIO, numbers: dict[int, int]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._numbers = numbers

    def persistent_id(self, obj: Any) -> int | None:
        return self._numbers.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, saved: bytes, shared: list[Any]) -> None:
        super().__init__(io.BytesIO(saved))
        self._shared = shared

    def persistent_load(self, pid: int) -> Any:
        return self._shared[pid]


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
