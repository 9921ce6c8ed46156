"""Snapshots of a whole Gymnasium environment: physics, Python attributes and wrappers.

There are two ways. An environment based on Gymnasium's `MujocoEnv` is saved from outside: its mjData byte by byte
(mujoco_memory.py), the contents of its first objects in place (anchors.py), and all attributes of it and its wrappers
that can be pickled. Any other environment may define two methods,

    get_snapshot() -> any object that can be pickled
    set_snapshot(snapshot)

on itself or on one of its wrappers. They must save everything below; attributes of wrappers around it are saved, too.
State that neither way reaches (globals, closures, files, other processes) is found by `hgrpo check`.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from robots.from_gymnasium.saving.anchors import Anchors, NoSnapshotError, SnapshotError
from robots.from_gymnasium.saving.memory import Regions
from robots.from_gymnasium.saving.model_watch import ModelWatch
from robots.from_gymnasium.saving.mujoco_memory import MujocoMemory
from robots.from_gymnasium.saving.pickling import Pickler, Unpickler
from robots.from_gymnasium.source import Environment, layers, one_line

PROTOCOL = "get_snapshot() and set_snapshot(snapshot)"
_LEFT_OUT = {"env", "spec", "_cached_spec", "metadata", "_metadata", "observation_space", "_observation_space"}
_LEFT_OUT |= {"action_space", "_action_space", "render_mode", "mujoco_renderer", "fullpath"}
_LEFT_OUT |= {"_ezpickle_args", "_ezpickle_kwargs", "_saved_kwargs"}


class Snapshots:
    """Saves and restores one environment as bytes: `physics` of fixed size and a pickled part.

    It must be made while the environment is new.

    Raises:
        NoSnapshotError: Neither way is possible, or an object can be saved by neither.
    """

    def __init__(self, env: Environment) -> None:
        found = layers(env)
        provider = next((i for i, layer in enumerate(found) if offers_protocol(layer)), None)
        self.memory: MujocoMemory | None = None
        self._provider: Any = None if provider is None else found[provider]
        self._layers = found[:provider]
        self._watches: list[ModelWatch] = []
        parts: list[np.ndarray] = []
        if provider is None:
            bare = found[-1]
            if not isinstance(bare, MujocoEnv):
                raise NoSnapshotError(f"it is not a MujocoEnv and does not define {PROTOCOL}")
            try:
                self.memory = MujocoMemory(bare.data)
            except ValueError as error:
                raise NoSnapshotError(f"{error}, and it does not define {PROTOCOL}") from error
            self._watches = [ModelWatch(bare.model)]
            parts = [*self.memory.parts, *self._watches[0].parts]
        self._bare: Any = found[-1]
        self._regions = Regions(parts)
        self.anchors = Anchors(_shared_objects(found), self._regions, self._dump)
        self._skipped = [set(_LEFT_OUT) for _ in self._layers]
        self._held: dict[tuple[int, str], Any] = {}  # attributes that cannot be pickled and must not be replaced
        for number in range(len(self._layers)):
            for name, value in self._attributes(number).items():
                self.anchors.find(value, self._name(number, name))
        self._watches += [ModelWatch(model) for model in self.anchors.models]

    @property
    def physics_size(self) -> int:
        """Bytes of the part of fixed size."""
        return 0 if self.memory is None else self.memory.size

    @property
    def unsaved(self) -> tuple[str, ...]:
        """Attributes that cannot be pickled, found so far, as CLASS.NAME; they are not restored."""
        return tuple(dict.fromkeys([*self.anchors.unsaved, *(self._name(*key) for key in sorted(self._held))]))

    @property
    def statistics(self) -> tuple[str, ...]:
        """Running means and variances of all layers, as CLASS.NAME."""
        kept = ((number, name) for number in range(len(self._layers)) for name in self._attributes(number))
        return tuple(
            self._name(number, name)
            for number, name in kept
            if type(self._layers[number].__dict__[name]).__name__ == "RunningMeanStd"
        )

    def learn_attributes(self) -> None:
        """Find attributes that cannot be pickled; later ones are errors.

        Raises:
            NoSnapshotError: An attribute can be neither saved nor left out.
        """
        if replaced := self._replaced():
            raise NoSnapshotError(replaced)
        for number in range(len(self._layers)):
            for name, value in self._attributes(number).items():
                try:
                    self._dump(value)
                except NoSnapshotError as error:
                    raise NoSnapshotError(f"{error}: {self._name(number, name)}") from error
                except Exception:
                    self._skipped[number].add(name)
                    self._held[number, name] = value

    @property
    def broken(self) -> str:
        """Reason why saved snapshots are incomplete, as a clause; empty if they are complete.

        It compares the whole model and every constant array, so call it once per batch of rows.
        """
        if self.model_changed:
            return "it changes its MuJoCo model during an episode"
        changed = self.anchors.changed
        return f"{', '.join(changed)} has changed for the first time and was not saved before" if changed else ""

    @property
    def model_changed(self) -> bool:
        """Whether any MuJoCo model has changed since the environment was new."""
        return any(watch.changed for watch in self._watches)

    def largest(self) -> str:
        """Largest attribute of a snapshot, with its size."""
        sizes = {name: len(self._dump(content)) for name, content in self.anchors.read().items()}
        for number in range(len(self._layers)):
            for name, value in self._attributes(number).items():
                sizes.setdefault(self._name(number, name), len(self._dump(value)))
        if self._provider is not None:
            sizes[f"get_snapshot() of {type(self._provider).__name__}"] = len(self._dump(self._provider.get_snapshot()))
        name = max(sizes, key=lambda key: sizes[key])
        return f"{name} ({sizes[name]:,} bytes)"

    def save(self, physics: np.ndarray) -> bytes:
        """Write the physics into (physics_size,) uint8 and return the pickled part; raises SnapshotError."""
        if replaced := self._replaced():
            raise SnapshotError(replaced)
        if self.memory is not None:
            self.memory.save(physics)
        attributes = [self._attributes(number) for number in range(len(self._layers))]
        try:
            own = self._provider.get_snapshot() if self._provider is not None else None
            return self._dump((self.anchors.read(), attributes, own, self._random_words()))
        except SnapshotError:
            raise
        except Exception as error:
            raise SnapshotError(f"{self._culprit(attributes)} cannot be saved: {one_line(error)}") from error

    def restore(self, physics: np.ndarray, rest: bytes) -> None:
        """Restore a saved state; raises SnapshotError."""
        if self.memory is not None:
            self.memory.restore(physics)
        generator = self._own_generator()
        try:
            contents, attributes, own, words = Unpickler(rest, self.anchors, self._regions, generator).load()
            self.anchors.write(contents)
            if self._provider is not None:
                self._provider.set_snapshot(own)
        except Exception as error:
            raise SnapshotError(f"a snapshot cannot be restored: {one_line(error)}") from error
        for number, saved in enumerate(attributes):
            present = self._layers[number].__dict__
            for name in self._attributes(number).keys() - saved.keys():
                del present[name]
            present.update(saved)
        if words is not None:
            state, increment, has_half, half = words
            inner = {"state": state, "inc": increment}
            generator.bit_generator.state = {
                "bit_generator": "PCG64",
                "state": inner,
                "has_uint32": has_half,
                "uinteger": half,
            }

    def _own_generator(self) -> np.random.Generator:
        """The environment's np_random, which is restored in place because making a new one is slow."""
        generator = self._usual_generator()
        return np.random.Generator(np.random.PCG64(0)) if generator is None else generator

    def _usual_generator(self) -> np.random.Generator | None:
        """The environment's np_random if a reset made it and it is a PCG64 generator."""
        generator = self._bare.__dict__.get("_np_random")
        if type(generator) is not np.random.Generator or id(generator) in self.anchors.names:
            return None
        return generator if type(generator.bit_generator) is np.random.PCG64 else None

    def _random_words(self) -> tuple[int, int, int, int] | None:
        """State of np_random if it is saved by name, else None."""
        generator = self._usual_generator()
        if self._provider is not None or generator is None:
            return None
        state: Any = generator.bit_generator.state
        return state["state"]["state"], state["state"]["inc"], state["has_uint32"], state["uinteger"]

    def _replaced(self) -> str:
        """Clause that names a replaced object that is not saved; empty if there is none."""
        if self.memory is not None:
            if self._bare.data is not self.memory.data:
                return "it replaces its MjData during an episode"
            if self._bare.model is not self._watches[0].model:
                return "it replaces its MuJoCo model during an episode"
        for (number, name), value in self._held.items():
            if self._layers[number].__dict__.get(name) is not value:
                return f"{self._name(number, name)} is replaced during an episode and cannot be pickled"
        return ""

    def _attributes(self, number: int) -> dict[str, Any]:
        """Attributes of a layer that a snapshot contains."""
        skipped = self._skipped[number]
        return {name: value for name, value in self._layers[number].__dict__.items() if name not in skipped}

    def _name(self, number: int, name: str) -> str:
        return f"{type(self._layers[number]).__name__}.{name}"

    def _dump(self, value: Any, trial: bool = False) -> bytes:
        file = io.BytesIO()
        generator = self._usual_generator() if self._provider is None else None
        Pickler(file, self.anchors, self._regions, generator, trial).dump(value)
        return file.getvalue()

    def _culprit(self, attributes: list[dict[str, Any]]) -> str:
        found = {
            self._name(number, name): value for number, names in enumerate(attributes) for name, value in names.items()
        }
        for name, value in (self.anchors.read() | found).items():
            try:
                self._dump(value)
            except Exception:
                return name
        return f"get_snapshot() of {type(self._provider).__name__}" if self._provider is not None else "the environment"


def offers_protocol(layer: Environment) -> bool:
    """Whether a layer of an environment has both methods of the protocol."""
    return callable(getattr(layer, "get_snapshot", None)) and callable(getattr(layer, "set_snapshot", None))


def _shared_objects(found: list[Environment]) -> list[Any]:
    """Objects that snapshots only name.

    They are the layers, their spaces, the model, its data and the renderer.
    """
    parts: list[Any] = list(found)
    for layer in found:
        parts += [getattr(layer, name) for name in ("observation_space", "action_space") if hasattr(layer, name)]
    bare = found[-1]
    return parts + [getattr(bare, name) for name in ("model", "data", "mujoco_renderer") if hasattr(bare, name)]
