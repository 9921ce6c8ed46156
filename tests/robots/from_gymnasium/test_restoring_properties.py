"""Whatever is linked to whatever: a restore brings back contents, sharing, and the objects of the beginning."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robots.from_gymnasium.saving.anchors import Anchors
from robots.from_gymnasium.saving.memory import Regions, address, root
from robots.from_gymnasium.saving.pickling import Pickler, Unpickler

SIMULATION = np.arange(64, dtype=np.uint8)  # memory that is saved elsewhere
KINDS = ("array", "fortran", "view", "region", "list", "dict", "object", "tuple")


class World:
    """Objects that `root` holds, linked at random."""

    def __init__(self, random: Any, size: int) -> None:
        self.random = random
        self.root: dict[str, Any] = {}
        self.everything: list[Any] = [self.root]
        for _ in range(size):
            self.add()

    def add(self) -> None:
        """Make an object, and hold it somewhere."""
        kind, number = self.random.choice(KINDS), float(self.random.randint(1, 99))
        made: Any = {
            "array": lambda: np.full((3, 2), number),
            "fortran": lambda: np.full((2, 3), number, order="F"),
            "view": self.view,
            "region": lambda: SIMULATION[8:48:2].view()[int(number) % 5 :],
            "list": lambda: [number],
            "dict": lambda: {"own": number},
            "object": lambda: SimpleNamespace(own=number),
            "tuple": lambda: (number, self.some()),
        }[kind]()
        self.everything.append(made)
        self.hold(made)

    def view(self) -> Any:
        arrays = [obj for obj in self.everything if isinstance(obj, np.ndarray) and obj.dtype == np.float64]
        if not arrays:
            return np.zeros((2, 2))[1:]
        array = self.random.choice(arrays)
        return self.random.choice((array[1:], array.T, array[::-1]))

    def some(self) -> Any:
        return self.random.choice(self.everything)

    def hold(self, obj: Any) -> None:
        """Put an object into a container."""
        holder = self.some()
        if isinstance(holder, list):
            holder.append(obj)
        elif isinstance(holder, SimpleNamespace):
            setattr(holder, f"held{self.random.randint(0, 3)}", obj)
        else:
            (holder if isinstance(holder, dict) else self.root)[f"held{self.random.randint(0, 3)}"] = obj

    def change(self) -> None:
        """Do what environments do in a step: write, make, link, drop."""
        obj = self.some()
        if isinstance(obj, np.ndarray) and obj.dtype == np.float64 and obj.size:
            obj[..., 0] = self.random.random()
        elif isinstance(obj, SimpleNamespace):
            obj.own = self.random.random()
        elif isinstance(obj, list) and obj:
            obj.pop(0)
        elif isinstance(obj, dict) and obj and obj is not self.root:
            obj.clear()
        self.hold(self.some())
        if self.random.random() < 0.5:
            self.add()


def described(start: Any, first: dict[int, int], kept: list[Any]) -> list[Any]:
    """Everything that `start` leads to: contents, which are one, which share memory, which are of the beginning.

    `kept` gets the objects met, so that no id is used twice.
    """
    seen: dict[int, int] = {}
    roots: dict[int, int] = {}
    out: list[Any] = []

    def visit(obj: Any) -> None:
        kept.append(obj)
        if isinstance(obj, (float, str)):
            out.append(obj)
        elif isinstance(obj, tuple):
            out.append(len(obj))
            for part in obj:
                visit(part)
        elif isinstance(obj, np.ndarray):
            within = address(SIMULATION) <= address(obj) < address(SIMULATION) + SIMULATION.size
            owner = SIMULATION if within else root(obj)
            kept.append(owner)
            name = "simulation" if within else roots.setdefault(address(owner), len(roots))
            out.append((name, address(obj) - address(owner), obj.shape, obj.strides, obj.tolist()))
            out.append("simulation" if within else first.get(id(owner)))
        elif id(obj) in seen:
            out.append(("again", seen[id(obj)]))
        else:
            seen[id(obj)] = len(seen)
            out.append((type(obj).__name__, first.get(id(obj))))
            parts = obj if isinstance(obj, dict) else vars(obj) if isinstance(obj, SimpleNamespace) else None
            for key, part in enumerate(obj) if parts is None else parts.items():
                out.append(key)
                visit(part)

    visit(start)
    return out


@given(st.randoms(use_true_random=False), st.integers(1, 12), st.integers(0, 10), st.integers(0, 10))
@settings(max_examples=150)
def test_a_restore_brings_back_contents_and_sharing(random: Any, size: int, before: int, after: int) -> None:
    world, regions = World(random, size), Regions([SIMULATION])

    def dump(value: Any, trial: bool = False) -> bytes:
        file = io.BytesIO()
        Pickler(file, anchors, regions, trial=trial).dump(value)
        return file.getvalue()

    anchors = Anchors([], regions, dump)
    anchors.find(world.root, "root")
    begun: list[Any] = []
    described(world.root, {}, begun)
    first = {id(obj): number for number, obj in enumerate(begun)}
    for _ in range(before):
        world.change()
    expected, saved = described(world.root, first, []), dump(anchors.read())
    for _ in range(after):
        world.change()
    anchors.write(Unpickler(saved, anchors, regions, None).load())
    assert described(world.root, first, []) == expected


def test_objects_of_another_instance_are_missed_by_name() -> None:
    regions = Regions([])

    def opened(value: Any) -> Anchors:
        anchors = Anchors([], regions, lambda obj, trial: b"")
        anchors.find(value, "Env.parts")
        return anchors

    saved = opened([1.0, [2.0]]).read()
    with pytest.raises(Exception, match=r"^Env\.parts\[1\] is missing in another instance$"):
        opened([1.0]).write(saved)
