"""The contract between a simulator and everything that trains, branches or judges a policy on it.

A simulator here is a set of pure functions of an explicit batched state. To save the simulator, keep the state; to
restore it, pass the state again; to branch N action samples from it, `repeat(state, N)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

State = TypeVar("State", bound=tuple[Any, ...])
"""Any NamedTuple of arrays whose first dimension is B, or of such NamedTuples."""


@dataclass(frozen=True)
class Channel:
    """One entry of an observation, an action or a signal: what it is called, its unit and the frame it is expressed
    in."""

    name: str
    unit: str = "1"
    frame: str = ""


@dataclass(frozen=True)
class SimulatorSpec:
    """Everything a policy, a recorder or an exporter has to know about a simulator without running it.

    `max_episode_steps` is a time limit in control steps, enforced above the simulator. `neutral_action` is an action
    that changes as little as possible (for a quadrotor: hover thrust); a fresh policy starts there and a stopped one
    returns to it. `robot` names the parameter preset that the simulator uses, if it has any. `privileged` are hidden
    quantities that a critic may see during training; they are not needed to act. `goal` says in words what counts as
    success; it is empty where a task has no goal but its reward. `branching_obstacle` says in one line why no earlier
    state can be stepped again; empty where any state can. `noise` says whether steps may draw random numbers, which
    `split_noise` gives to each sibling anew. `notes` are lines about what training should be told.
    """

    name: str
    observation: tuple[Channel, ...]
    action: tuple[Channel, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    control_hz: float
    max_episode_steps: int
    neutral_action: tuple[float, ...]
    robot: str = ""
    privileged: tuple[Channel, ...] = ()
    goal: str = ""
    branching_obstacle: str = ""
    noise: bool = True
    notes: tuple[str, ...] = ()

    @property
    def observation_size(self) -> int:
        """Number of entries O of one observation."""
        return len(self.observation)

    @property
    def action_size(self) -> int:
        """Number of entries A of one action."""
        return len(self.action)

    @property
    def privileged_size(self) -> int:
        """Number of entries P that only a privileged critic sees."""
        return len(self.privileged)


class Step(NamedTuple):
    """What one control step returns for each of B rows."""

    state: Any
    """State after the step, the same NamedTuple type as before it."""
    observation: Tensor
    """(B, O) observation of `state`."""
    reward: Tensor
    """(B,) reward of this step, before any transform."""
    terminated: Tensor
    """(B,) bool, true where the task ended for good: no future reward exists, so nothing is bootstrapped."""


@runtime_checkable
class Simulator(Protocol):
    """A batched simulator: deterministic functions of a state that holds everything the next step reads."""

    spec: SimulatorSpec

    def reset(self, num: int, seed: int | torch.Generator) -> Any:
        """Draw `num` initial states; an int seeds a fresh generator, a generator is advanced."""
        ...

    def observe(self, state: Any) -> Tensor:
        """(B, O) observation of a state."""
        ...

    def privileged(self, state: Any) -> Tensor:
        """(B, P) what the simulator knows and no observation shows; P = 0 if nothing is hidden."""
        ...

    def split_noise(self, state: Any, index: Tensor) -> Any:
        """The same state with randomness to come of its own per index (B,) int64; index 0 keeps its own future.

        A simulator whose `step` draws nothing returns the state.
        """
        ...

    def step(self, state: Any, action: Tensor) -> Step:
        """Advance B rows by one control step; the same state and action (B, A) give the same bits.

        They do on one machine and build of torch.
        """
        ...

    def success(self, state: Any) -> Tensor:
        """(B,) bool, true where an episode that ends in this state reached the task's goal; never without a goal.

        It alone decides, whether the episode ends there for good or by its time limit: false after a failure.
        """
        ...

    def diverged(self, state: Any) -> Tensor:
        """(B,) bool, where the physics gave up in the step that led to this state; such a step terminated its row."""
        ...

    def signals(self, state: Any) -> dict[str, Tensor]:
        """Named quantities (B, k) worth plotting over time; keys read "name [unit]"."""
        ...

    def position(self, state: Any) -> Tensor:
        """(B, 3) where the robot is in the world [m]."""
        ...

    def render(
        self, state: Any, row: int = 0, width: int = 640, height: int = 480, trail: np.ndarray | None = None
    ) -> np.ndarray:
        """Picture (height, width, 3) uint8 of one row, with the path `trail` (k, 3) [m] behind it if given."""
        ...


@runtime_checkable
class Measured(Protocol):
    """A simulator whose task has figures of its own for a whole episode."""

    def metrics(self, state: Any) -> dict[str, Tensor]:
        """(B,) figures of episodes that end in this state, keys read "name [unit]"; NaN where an episode has none."""
        ...


@runtime_checkable
class Adjustable(Protocol):
    """A simulator with settings that may change between two rollouts, such as its difficulty or reward weights."""

    @property
    def settings(self) -> dict[str, float]:
        """Every setting by name, as it is."""
        ...

    def adjust(self, name: str, value: float) -> None:
        """Change a setting; raises ValueError for a name or a value that there is not."""
        ...


def episode_metrics(simulator: Simulator, state: Any) -> dict[str, Tensor]:
    """The figures of a simulator that is Measured; none of another."""
    return simulator.metrics(state) if isinstance(simulator, Measured) else {}


def give_up(simulator: Simulator, state: Any) -> None:
    """Say that no row of a state will be stepped again, to a simulator that keeps something for each (`give_up`)."""
    end = getattr(simulator, "give_up", None)
    if end is not None:
        end(state)


def close(simulator: Simulator) -> None:
    """End what a simulator runs or holds open, where it has a `close`; it cannot be stepped afterwards."""
    end = getattr(simulator, "close", None)
    if end is not None:
        end()


@contextmanager
def closing(simulator: Simulator) -> Iterator[Simulator]:
    """The simulator, which is closed at the end, at an error and at Ctrl-C."""
    try:
        yield simulator
    finally:
        close(simulator)


@contextmanager
def closed_on_error(simulator: Simulator) -> Iterator[Simulator]:
    """The simulator, which stays open unless something goes wrong."""
    try:
        yield simulator
    except BaseException:
        close(simulator)
        raise


def map_state(function: Callable[..., Tensor], *states: State) -> State:
    """Apply a function to each array of one or several states of the same type, nested NamedTuples included."""
    first = states[0]
    fields = (
        map_state(function, *parts) if isinstance(parts[0], tuple) else function(*parts)
        for parts in zip(*states, strict=True)
    )
    return type(first)(*fields)


def num_rows(state: State) -> int:
    """Number of rows B of a state."""
    return int(first_array(state).shape[0])


def first_array(state: State) -> Tensor:
    """The first array of a state, nested NamedTuples included; its rows and its device are those of all."""
    first: Any = state
    while isinstance(first, tuple):
        first = first[0]
    return first


def repeat(state: State, num_samples: int) -> State:
    """Copy every row `num_samples` times, siblings side by side: row b becomes rows b N ... b N + N - 1."""
    return map_state(lambda x: x.repeat_interleave(num_samples, dim=0), state)


def select(state: State, rows: Tensor | slice) -> State:
    """Take rows by index, bool mask or slice; the result shares no memory with `state` unless `rows` is a slice."""
    return map_state(lambda x: x[rows], state)


def where(mask: Tensor, if_true: State, if_false: State) -> State:
    """Choose row by row between two states of equal size; `mask` is (B,) bool."""

    def choose(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(mask.reshape(mask.shape + (1,) * (a.dim() - 1)), a, b)

    return map_state(choose, if_true, if_false)


def replace(state: State, rows: Tensor, new: State) -> State:
    """Copy of a state in which `rows` (k,) int64 are taken from the k rows of `new`; the original stays as it is."""
    return map_state(lambda x, y: x.index_copy(0, rows, y), state, new)
