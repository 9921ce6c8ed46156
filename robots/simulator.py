"""The contract of a simulator: pure functions of an explicit batched state.

To save a simulator, keep the state. To restore it, pass the state again. To branch N action samples from it, use
`repeat(state, N)`. Arrays have one row per simulated robot: B rows of O observation, A action or P privileged entries.
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
    """Name, unit and frame of one entry of an observation or an action."""

    name: str
    unit: str = "1"
    frame: str = ""


@dataclass(frozen=True)
class SimulatorSpec:
    """Description of a simulator for policies, recorders and exporters."""

    name: str
    """Name of the task."""
    observation: tuple[Channel, ...]
    """The O entries of an observation."""
    action: tuple[Channel, ...]
    """The A entries of an action."""
    action_low: tuple[float, ...]
    """Smallest value of each action entry."""
    action_high: tuple[float, ...]
    """Largest value of each action entry."""
    control_hz: float
    """Control steps per second [Hz]."""
    max_episode_steps: int
    """Time limit in control steps; `robots.episodes` applies it, not the simulator."""
    neutral_action: tuple[float, ...]
    """Action that changes the state least, such as hover thrust; policies start and stop with it."""
    robot: str = ""
    """Name of the parameter preset; empty if the simulator has none."""
    privileged: tuple[Channel, ...] = ()
    """The P hidden entries that a critic may read during training; acting does not need them."""
    goal: str = ""
    """What counts as success, in words; empty if the task has only a reward."""
    branching_obstacle: str = ""
    """Why an earlier state cannot be stepped again, in one line; empty if every state can."""
    noise: bool = True
    """Whether steps may draw random numbers; `split_noise` gives each sibling its own."""
    notes: tuple[str, ...] = ()
    """Lines that training prints as notes."""
    reward: str = ""
    """Terms of the reward, in words; empty if the weights in `settings` name them."""
    other_options: str = ""
    """Task options that no dataclass of the simulator lists, in one sentence."""
    differentiable: bool = False
    """Whether torch's autograd flows through `step`; see `Simulator.step`."""

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
    """Result of one control step of B rows."""

    state: Any
    """State after the step, the same NamedTuple type as before it."""
    observation: Tensor
    """(B, O) observation of `state`."""
    reward: Tensor
    """(B,) reward of this step, before any reward transform."""
    terminated: Tensor
    """(B,) bool, true where the episode has ended and there is no future reward; not for the time limit."""


@runtime_checkable
class Simulator(Protocol):
    """A batched simulator: deterministic functions of a state that contains all that the next step reads."""

    spec: SimulatorSpec

    def reset(self, num: int, seed: int | torch.Generator) -> Any:
        """Draw initial states.

        Args:
            num: Number of rows B.
            seed: Seed of a new generator, or a generator, which is advanced.
        """
        ...

    def observe(self, state: Any) -> Tensor:
        """(B, O) observation of a state."""
        ...

    def privileged(self, state: Any) -> Tensor:
        """(B, P) hidden entries of a state, named by `spec.privileged`; P = 0 if nothing is hidden."""
        ...

    def split_noise(self, state: Any, index: Tensor) -> Any:
        """Give each row an independent stream of future random numbers.

        Args:
            state: B rows.
            index: (B,) int64 number of the stream; index 0 keeps the row's own stream.

        Returns:
            The same state with new streams; the state itself if `step` draws nothing.
        """
        ...

    def step(self, state: Any, action: Tensor) -> Step:
        """Advance B rows by one control step.

        The same state and action (B, A) give the same bits on one machine and build of torch.

        Where `spec.differentiable` is true, autograd flows from the floating entries of the state and from the action
        to the next state, the observation and the reward. Gradients are finite everywhere. Events carry no slope: bool
        and integer entries, termination, and the choice of a branch. Gradients change no bit of the results, and a
        step that needs none costs nothing extra.
        """
        ...

    def success(self, state: Any) -> Tensor:
        """(B,) bool, true where an episode that ends in this state has reached the goal.

        It holds both for termination and for the time limit. It is false after a failure and in tasks without a goal.
        """
        ...

    def diverged(self, state: Any) -> Tensor:
        """(B,) bool, true where the physics diverged in the last step; that step terminated the row."""
        ...

    def signals(self, state: Any) -> dict[str, Tensor]:
        """Signals (B, k) to plot over time, by "name [unit]"."""
        ...

    def position(self, state: Any) -> Tensor:
        """(B, 3) position of the robot in the world [m]."""
        ...

    def render(
        self, state: Any, row: int = 0, width: int = 640, height: int = 480, trail: np.ndarray | None = None
    ) -> np.ndarray:
        """Draw one row.

        Args:
            state: B rows.
            row: The row to draw.
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.
            trail: (k, 3) path to draw, in the world [m].

        Returns:
            Picture (height, width, 3) uint8.
        """
        ...


@runtime_checkable
class Measured(Protocol):
    """A simulator that measures whole episodes by figures of its own."""

    def metrics(self, state: Any) -> dict[str, Tensor]:
        """Figures (B,) of episodes that end in this state, by "name [unit]"; NaN where there is none."""
        ...


@runtime_checkable
class Adjustable(Protocol):
    """A simulator whose settings may change between rollouts, such as its difficulty."""

    @property
    def settings(self) -> dict[str, float]:
        """Current value of every setting, by name."""
        ...

    def adjust(self, name: str, value: float) -> None:
        """Change a setting; raises HgrpoError for an unknown name or a value that is not allowed."""
        ...


def episode_metrics(simulator: Simulator, state: Any) -> dict[str, Tensor]:
    """Figures of a Measured simulator; empty for any other."""
    return simulator.metrics(state) if isinstance(simulator, Measured) else {}


def give_up(simulator: Simulator, state: Any) -> None:
    """Release resources of the rows of a state, which will not be stepped again."""
    end = getattr(simulator, "give_up", None)
    if end is not None:
        end(state)


def close(simulator: Simulator) -> None:
    """Close a simulator that has a `close`; it cannot be stepped afterwards."""
    end = getattr(simulator, "close", None)
    if end is not None:
        end()


@contextmanager
def closing(simulator: Simulator) -> Iterator[Simulator]:
    """Context of a simulator that is closed at its end, at an error and at Ctrl-C."""
    try:
        yield simulator
    finally:
        close(simulator)


@contextmanager
def closed_on_error(simulator: Simulator) -> Iterator[Simulator]:
    """Context of a simulator that is closed at an error only."""
    try:
        yield simulator
    except BaseException:
        close(simulator)
        raise


def map_state(function: Callable[..., Tensor], *states: State) -> State:
    """Apply a function to each array of states of one type, nested NamedTuples included."""
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
    """First array of a state; all arrays have its number of rows and its device."""
    first: Any = state
    while isinstance(first, tuple):
        first = first[0]
    return first


def repeat(state: State, num_samples: int) -> State:
    """Copy every row N = `num_samples` times; row b becomes rows b N to b N + N - 1."""
    return map_state(lambda x: x.repeat_interleave(num_samples, dim=0), state)


def select(state: State, rows: Tensor | slice) -> State:
    """Take rows by index, bool mask or slice; only a slice shares memory with `state`."""
    return map_state(lambda x: x[rows], state)


def where(mask: Tensor, if_true: State, if_false: State) -> State:
    """Choose each row from one of two states.

    Args:
        mask: (B,) bool.
        if_true: B rows to use where the mask is true.
        if_false: B rows to use elsewhere.
    """

    def choose(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(mask.reshape(mask.shape + (1,) * (a.dim() - 1)), a, b)

    return map_state(choose, if_true, if_false)


def replace(state: State, rows: Tensor, new: State) -> State:
    """Copy of a state with some rows replaced.

    Args:
        state: B rows.
        rows: (k,) int64 rows to replace.
        new: The k new rows.
    """
    return map_state(lambda x, y: x.index_copy(0, rows, y), state, new)
