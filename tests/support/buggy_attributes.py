"""HalfCheetahs whose attributes share memory with the simulation, with one another, or with what no snapshot sees."""

from __future__ import annotations

import queue
from collections import deque
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np
import torch
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.spaces import Box

ZEROS = np.zeros(9)


class Shown(HalfCheetahEnv):
    """Shows `size` more numbers in its observation, those that `more` returns."""

    size = 1

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.build()
        self.observation_space = Box(-np.inf, np.inf, (17 + self.size,), np.float64)

    def build(self) -> None:
        """Makes the attributes."""

    def more(self) -> Any:
        return [0.0]

    def after(self) -> None:
        """Changes the attributes after a step."""

    def begin(self) -> None:
        """Changes the attributes in a reset."""

    def _get_obs(self) -> np.ndarray:
        more = np.ravel(self.more()) if hasattr(self, "observation_structure") else np.zeros(self.size)
        return np.concatenate((super()._get_obs(), more))

    def reset_model(self) -> np.ndarray:
        self.begin()
        super().reset_model()
        return self._get_obs()

    def step(self, action: np.ndarray) -> Any:
        _, *rest = super().step(action)
        self.after()
        return self._get_obs(), *rest


@dataclass
class Leg:
    position: np.ndarray


class Slotted:
    __slots__ = ("count", "position")

    def __init__(self, position: np.ndarray) -> None:
        self.position, self.count = position, 0


class Frozen:
    """Pickles as a copy, in a way of its own."""

    def __init__(self, position: np.ndarray) -> None:
        self.position = position

    def __reduce__(self) -> Any:
        return Frozen, (self.position.copy(),)


class Views(Shown):
    """Views of the simulation in containers and objects."""

    size = 7

    def build(self) -> None:
        foot = self.data.geom_xpos[8]
        self.list, self.tuple, self.dict = [foot[0:1]], (foot[0:1], self.data.qpos[::-2]), {"foot": foot[0:1]}
        self.leg, self.space, self.slotted = Leg(foot[0:1]), SimpleNamespace(position=foot[0:1]), Slotted(foot[0:1])
        self.recent = deque([foot[0:1]], maxlen=2)

    def after(self) -> None:
        self.slotted.count += 1

    def more(self) -> Any:
        held = (self.list[0], self.tuple[0], self.dict["foot"], self.leg.position, self.space.position)
        return np.concatenate((*held, self.slotted.position * self.slotted.count, self.recent[0] + self.tuple[1][1]))


class Ring(Shown):
    """A ring buffer and a view of its newest row; another pair that every reset makes anew."""

    size = 6

    def build(self) -> None:
        self.history = np.zeros((3, 1))
        self.newest = self.history[-1]

    def begin(self) -> None:
        self.history[:] = 0.0
        self.second = np.zeros((3, 1), order="F")
        self.newest_of_second = self.second[-1]

    def after(self) -> None:
        for rows, newest in ((self.history, self.newest), (self.second, self.newest_of_second)):
            rows[:-1] = rows[1:]
            newest[0] = self.data.qvel[0]

    def more(self) -> Any:
        return self.history, getattr(self, "second", self.history)


class Goal(Shown):
    """A closure over the array of the goal, and over a list and an object."""

    size = 3

    def build(self) -> None:
        target, steps, wind = np.zeros(1), [0], SimpleNamespace(force=0.0)
        self.target, self.steps, self.wind = target, steps, wind
        self.cost = lambda: (target[0], steps[0], wind.force)

    def begin(self) -> None:
        self.target[:] = self.np_random.uniform(-5.0, 5.0)
        self.steps[0] = 0

    def after(self) -> None:
        self.steps[0] += 1
        self.wind.force = self.np_random.normal()

    def more(self) -> Any:
        return self.cost()


class ViewThenCopy(Shown):
    """An attribute that is a copy after a reset and a view after a step; one that is there now and then."""

    def begin(self) -> None:
        self.before = self.data.qpos.copy()
        self.__dict__.pop("late", None)

    def after(self) -> None:
        self.before = self.data.qpos
        self.late = True

    def more(self) -> Any:
        return self.before[0] + hasattr(self, "late")


class Default(Shown):
    """An attribute that is one array of the whole module after a reset, and its own after a step."""

    def begin(self) -> None:
        self.last = ZEROS

    def after(self) -> None:
        self.last = self.data.qpos.copy()

    def more(self) -> Any:
        return self.last[0] + ZEROS[0]


class Pickled(Shown):
    """A view that pickles as a copy, which nobody can see from outside."""

    def build(self) -> None:
        self.frozen = Frozen(self.data.qpos)

    def more(self) -> Any:
        return self.frozen.position[0]


class Outside(Shown):
    """Work for another thread, which no restore may take back; and a dict that is saved but for a function in it."""

    def build(self) -> None:
        self.work: queue.Queue[int] = queue.Queue()
        self.tools = {"double": lambda x: 2.0 * x, "count": 0}

    def begin(self) -> None:
        self.tools["count"] = 0

    def after(self) -> None:
        self.tools["count"] += 1
        self.work.put(1)

    def more(self) -> Any:
        return self.tools["double"](self.tools["count"])


class NewClosure(Shown):
    """A new closure in every episode."""

    def begin(self) -> None:
        goal = self.np_random.uniform()
        self.cost = lambda: goal

    def more(self) -> Any:
        return self.cost()


class TensorView(Shown):
    """A tensor over the memory of the simulation, made anew in every episode."""

    def begin(self) -> None:
        self.tensor = torch.from_numpy(self.data.qpos)


class SecondData(Shown):
    """Plans with a second mjData."""

    def build(self) -> None:
        self.plan = mujoco.MjData(self.model)


class LateSecondData(Shown):
    """The same from the first reset on."""

    def begin(self) -> None:
        self.plan = mujoco.MjData(self.model)


class NewData(Shown):
    """Begins every episode in a new mjData."""

    def begin(self) -> None:
        self.data = mujoco.MjData(self.model)


class LateModel(Shown):
    """Changes its model in mid-episode, once a trial at the start is over."""

    change = "mass"

    def begin(self) -> None:
        self.count = 0

    def after(self) -> None:
        self.count += 1
        if self.count == 12 and self.change == "mass":
            self.model.body_mass[1] = 9.0
        elif self.count == 12:
            self.model.opt.gravity[2] = -3.0


class LateGravity(LateModel):
    """The same with gravity."""

    change = "gravity"


class Clip(Shown):
    """A reference motion of 4 MiB, which changes in step `changed_at` of an episode if at all."""

    changed_at = 10**9

    def build(self) -> None:
        self.clip = np.random.default_rng(0).normal(size=2**19)
        self.table = np.broadcast_to(np.arange(3.0), (2, 3))  # cannot be written to
        self.count = 0

    def begin(self) -> None:
        self.count = 0

    def after(self) -> None:
        self.count += 1
        if self.count == self.changed_at:
            self.clip[7] = 5.0

    def more(self) -> Any:
        return self.clip[self.count] + self.table[1, 2]


class LateClip(Clip):
    """Changes it in mid-episode, once a trial at the start is over."""

    changed_at = 12


class EarlyClip(Clip):
    """Changes it at once."""

    changed_at = 1


class Words(Shown):
    """A table of 2 MB that is no array."""

    def build(self) -> None:
        self.words = [float(i) for i in range(250_000)]
