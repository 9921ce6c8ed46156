"""A task as a `gymnasium.Env`: one row of its simulator.

`gymnasium.make("hgrpo/quadrotor-hover-v0")` builds it with the time limit of the task.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box
from gymnasium.wrappers import TimeLimit

from hgrpo_errors import HgrpoError
from robots.as_gymnasium.reset_buffer import ResetBuffer
from robots.as_gymnasium.spaces import (
    RENDER_MODES,
    action_space,
    check_render_mode,
    metadata,
    observation_space,
    open_task,
    read_actions,
    to_array,
)
from robots.simulator import Simulator, close, give_up

_FIRST = np.zeros(1, dtype=np.int64)


class EnvSnapshot(NamedTuple):
    """All that later steps and resets of an environment read; it can be pickled."""

    state: Any
    """State of the simulator, one row."""
    random_state: dict[str, Any]
    """State of the bit generator behind `np_random`."""
    starts_seed: int
    """Seed of the current block of initial states."""
    starts_left: int
    """Number of initial states left in that block."""


class TaskEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One row of a task as a Gymnasium environment without a time limit.

    Observations are float32 (O,). Actions (A,) are clipped to the bounds of `action_space`. `info["is_success"]` is
    true after a step if an episode that ends there has reached the goal.

    Args:
        task: Name of a task, or a simulator.
        render_mode: None or "rgb_array".
        options: Options of the named task.

    Raises:
        UnknownTaskError: There is no such task.
        OptionError: There is no such option, or its value is not allowed.
        HgrpoError: There is no such render mode.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": list(RENDER_MODES)}  # type: ignore[misc]

    def __init__(self, task: str | Simulator, render_mode: str | None = None, **options: Any) -> None:
        check_render_mode(render_mode)
        self.simulator, self._made = open_task(task, options), isinstance(task, str)
        spec = self.simulator.spec
        self.metadata = metadata(spec)  # type: ignore[misc]
        self.render_mode = render_mode
        self.observation_space = observation_space(spec)
        self.action_space: Box = action_space(spec)
        self._buffer = ResetBuffer(self.simulator, 1)
        self._state: Any = None

    @property
    def state(self) -> Any:
        """State of the simulator, one row; raises ResetNeeded before the first reset."""
        if self._state is None:
            raise ResetNeeded("there is no state before the first reset(); call it first")
        return self._state

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; a seed also determines all later episodes until the next seed.

        Raises:
            HgrpoError: An option is given; there are none.
        """
        super().reset(seed=seed)
        if options:
            raise HgrpoError(f"a reset takes no options; given {', '.join(map(repr, options))}")
        if seed is not None:
            self._buffer.clear(0)
        if self._state is not None:
            give_up(self.simulator, self._state)
        self._state = self._buffer.draw(_FIRST, (self.np_random,))
        return to_array(self.simulator.observe(self._state)[0]), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Apply an action (A,) for one control step; `truncated` is always false.

        Raises:
            ResetNeeded: There was no reset before.
            HgrpoError: The action has another shape or contains NaN.
        """
        step = self.simulator.step(self.state, read_actions(self.action_space, action).unsqueeze(0))
        self._state = step.state
        info = {"is_success": bool(self.simulator.success(step.state)[0])}
        return to_array(step.observation[0]), float(step.reward[0]), bool(step.terminated[0]), False, info

    def render(self) -> np.ndarray | None:
        """Picture (height, width, 3) uint8 of the state, or None without a render mode.

        Raises:
            MissingGraphicsError: This machine cannot draw.
        """
        return None if self.render_mode is None else self.simulator.render(self.state, 0)

    def close(self) -> None:
        """Close the simulator if the environment built it."""
        if self._made:
            close(self.simulator)

    def get_snapshot(self) -> EnvSnapshot:
        """Snapshot of all that later steps and resets read; raises ResetNeeded before the first reset."""
        random_state = dict(self.np_random.bit_generator.state)
        return EnvSnapshot(self.state, random_state, int(self._buffer.seed[0]), int(self._buffer.left[0]))

    def set_snapshot(self, snapshot: EnvSnapshot) -> None:
        """Restore a snapshot of this task.

        Later steps and resets give the same bits as after the snapshot.

        A snapshot from another process gives the same bits on the same kind of machine and build of torch with the same
        number of threads. The time limit is in an outer wrapper and does not change.

        Raises:
            TypeError: The argument is not a snapshot.
        """
        if not isinstance(snapshot, EnvSnapshot):
            raise TypeError(f"expected an EnvSnapshot, what get_snapshot() returns; given {type(snapshot).__name__}")
        generator = np.random.Generator(np.random.PCG64())
        generator.bit_generator.state = snapshot.random_state
        self.np_random = generator
        self._buffer.seed[0], self._buffer.left[0] = snapshot.starts_seed, snapshot.starts_left
        self._state = snapshot.state


def make_limited(task: str, render_mode: str | None = None, **options: Any) -> TimeLimit[np.ndarray, np.ndarray]:
    """Build a TaskEnv with the time limit of its task.

    Arguments and errors are those of TaskEnv.
    """
    env = TaskEnv(task, render_mode, **options)
    return TimeLimit(env, env.simulator.spec.max_episode_steps)


make_limited.metadata = TaskEnv.metadata  # type: ignore[attr-defined]  # gymnasium.make reads the render modes here
