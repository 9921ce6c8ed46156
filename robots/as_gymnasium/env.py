"""A task as a `gymnasium.Env`: one row of its simulator.

`gymnasium.make("hgrpo/quadrotor-hover-v0")` builds it inside the time limit of the task with its options.
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
    """Everything that the next steps and resets of an environment read; it can be pickled."""

    state: Any
    """State of the simulator, one row."""
    random_state: dict[str, Any]
    """State of the bit generator behind `np_random`."""
    starts_seed: int
    """Seed of the block of initial states that resets are taking from."""
    starts_left: int
    """How many of that block are still to come."""


class TaskEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One row of a task as a Gymnasium environment without a time limit.

    `task` names a registered task, whose options are the remaining keyword arguments, or is a simulator. Observations
    are float32 (O,); actions (A,) beyond the bounds of `action_space` are clipped to them. `info["is_success"]` says
    after every step whether an episode that ends there reached the goal.

    Raises UnknownTaskError, OptionError and ValueError for a task, an option or a render mode that does not exist.
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
        """Begin an episode; a seed begins the stream of all later ones as well.

        Raises ValueError for any option.
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
        """Hold an action (A,) for one control step; never truncates.

        Raises ResetNeeded before the first reset and ValueError for an action of another shape or with NaN.
        """
        step = self.simulator.step(self.state, read_actions(self.action_space, action).unsqueeze(0))
        self._state = step.state
        info = {"is_success": bool(self.simulator.success(step.state)[0])}
        return to_array(step.observation[0]), float(step.reward[0]), bool(step.terminated[0]), False, info

    def render(self) -> np.ndarray | None:
        """Picture (height, width, 3) uint8 of the state, or None without a render mode.

        Raises robots.drawing.offscreen.MissingGraphicsError where no picture can be drawn.
        """
        return None if self.render_mode is None else self.simulator.render(self.state, 0)

    def close(self) -> None:
        """Close the simulator, unless it was given as one."""
        if self._made:
            close(self.simulator)

    def get_snapshot(self) -> EnvSnapshot:
        """All that later steps and resets depend on; raises ResetNeeded before the first reset."""
        random_state = dict(self.np_random.bit_generator.state)
        return EnvSnapshot(self.state, random_state, int(self._buffer.seed[0]), int(self._buffer.left[0]))

    def set_snapshot(self, snapshot: EnvSnapshot) -> None:
        """Go back to a snapshot of this task, taken here or elsewhere; what follows is the same to the bit.

        Elsewhere it is so on the same kind of machine and build of torch, with as many threads. A time limit
        counts in a wrapper outside and stays as it is. Raises TypeError for anything but a snapshot.
        """
        if not isinstance(snapshot, EnvSnapshot):
            raise TypeError(f"expected an EnvSnapshot, what get_snapshot() returns; given {type(snapshot).__name__}")
        generator = np.random.Generator(np.random.PCG64())
        generator.bit_generator.state = snapshot.random_state
        self.np_random = generator
        self._buffer.seed[0], self._buffer.left[0] = snapshot.starts_seed, snapshot.starts_left
        self._state = snapshot.state


def make_limited(task: str, render_mode: str | None = None, **options: Any) -> TimeLimit[np.ndarray, np.ndarray]:
    """A TaskEnv inside the time limit that its task has with these options; raises what TaskEnv raises."""
    env = TaskEnv(task, render_mode, **options)
    return TimeLimit(env, env.simulator.spec.max_episode_steps)


make_limited.metadata = TaskEnv.metadata  # type: ignore[attr-defined]  # where gymnasium.make looks for render modes
