"""A task as a `gymnasium.vector.VectorEnv`: all rows of one batched simulator in one step.

It gives the same numbers as `gymnasium.vector.SyncVectorEnv` over single environments with the same seeds, without a
Python loop over rows in `step`. `gymnasium.make_vec("hgrpo/quadrotor-hover-v0", num_envs=64)` builds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from hgrpo_errors import HgrpoError, nearest
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
from robots.simulator import Simulator, Step, close, first_array, give_up, replace, select

_MODES = tuple(mode.value for mode in AutoresetMode)


class TaskVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """B = `num_envs` rows of a task as a Gymnasium vector environment with its time limit.

    Observations are float32 (B, O), rewards float64 (B,). Actions (B, A) are clipped to the bounds. After a step
    `infos["is_success"]` is true for a row if an episode that ends there has reached the goal.

    Args:
        task: Name of a task, or a simulator.
        num_envs: Number of rows B, at least 1.
        render_mode: None or "rgb_array".
        max_episode_steps: Time limit in control steps in place of the task's own; -1 removes it.
        autoreset_mode: "NextStep", "SameStep" or "Disabled", as Gymnasium defines them.
        options: Options of the named task.

    Raises:
        UnknownTaskError: There is no such task.
        OptionError: There is no such option, or its value is not allowed.
        HgrpoError: Another argument is not allowed.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": list(RENDER_MODES),
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        task: str | Simulator,
        num_envs: int = 1,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **options: Any,
    ) -> None:
        check_render_mode(render_mode)
        if num_envs < 1:
            raise HgrpoError(f"num_envs must be at least 1; given {num_envs}")
        self.simulator, self._made = open_task(task, options), isinstance(task, str)
        spec = self.simulator.spec
        self.num_envs, self.render_mode = num_envs, render_mode
        self.autoreset_mode = _read_mode(autoreset_mode)
        self.metadata = {**metadata(spec), "autoreset_mode": self.autoreset_mode}  # type: ignore[misc]
        self.max_episode_steps = _read_limit(spec.max_episode_steps if max_episode_steps is None else max_episode_steps)
        if spec.branching_obstacle and self.max_episode_steps > spec.max_episode_steps:
            raise HgrpoError(
                f"max_episode_steps of {spec.name} must be at most {spec.max_episode_steps}, the time limit of its "
                f"environments; given {max_episode_steps}"
            )
        self.single_observation_space, self.single_action_space = observation_space(spec), action_space(spec)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space: Box = cast("Box", batch_space(self.single_action_space, num_envs))
        self._streams = [np.random.Generator(np.random.PCG64(0))] * num_envs  # placeholders until _seed
        self._seeds: list[int | None] = [None] * num_envs
        self._buffer = ResetBuffer(self.simulator, num_envs)
        self._state: Any = None
        self._observation = np.zeros((num_envs, spec.observation_size), dtype=np.float32)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.zeros(num_envs, dtype=np.bool_)

    @property
    def state(self) -> Any:
        """State of the simulator, B rows; raises ResetNeeded before the first reset."""
        if self._state is None:
            raise ResetNeeded("there is no state before the first reset(); call it first")
        return self._state

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """Generator of each row; a row without a seed gets one from the system's entropy."""
        self._seed([None] * self.num_envs, range(self.num_envs))
        return tuple(self._streams)

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """Seed of each row's generator."""
        self._seed([None] * self.num_envs, range(self.num_envs))
        return tuple(self._seeds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode in every row, or in those where `options["reset_mask"]` (B,) bool is true.

        Args:
            seed: An int seeds row i with `seed + i`; a sequence has the seed of each row; None continues the streams.
            options: None or {"reset_mask": mask}.

        Raises:
            HgrpoError: A seed, a mask or an option is not allowed.
            TypeError: The mask is not a numpy array of bool with shape (B,).
            ResetNeeded: A mask is given before the first reset.
        """
        seeds = _read_seeds(seed, self.num_envs)
        mask = _read_mask(options, self.num_envs)
        if self._state is None and not mask.all():
            raise ResetNeeded("the first reset() must start every row; the given reset_mask excludes some")
        rows = np.flatnonzero(mask)
        self._seed(seeds, rows.tolist())
        fresh = self._begin(rows)
        self._state = fresh if self._state is None else replace(self._state, self._index(rows), fresh)
        return self._observation.copy(), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one control step with actions (B, A).

        In mode NextStep a row whose episode has ended ignores its action and starts the next episode. In mode SameStep
        the next episode starts in the same step, and `infos["final_obs"]` and `infos["final_info"]` have the last
        observation and info of the ended one.

        Returns:
            Observations (B, O), rewards, terminations and truncations (B,), and infos.

        Raises:
            ResetNeeded: There was no reset before, or in mode Disabled an episode has ended.
            HgrpoError: The actions have another shape or contain NaN.
        """
        action = read_actions(self.action_space, actions)
        state, waiting = self.state, np.flatnonzero(self._ended)
        if waiting.size and self.autoreset_mode is AutoresetMode.DISABLED:
            raise ResetNeeded(f"episodes of rows {waiting.tolist()} have ended; reset them with a reset_mask first")
        fresh = self._begin(waiting) if waiting.size else None
        step = self._advance(state, action, waiting, fresh)
        began = self._observation[waiting]
        self._observation = to_array(step.observation)
        reward, terminated = to_array(step.reward, np.float64), to_array(step.terminated, np.bool_)
        success, stepped = to_array(self.simulator.success(step.state), np.bool_), np.ones(self.num_envs, np.bool_)
        self._state = step.state
        self._elapsed += 1
        if fresh is not None:
            self._state = replace(step.state, self._index(waiting), fresh)
            self._observation[waiting] = began
            reward[waiting], terminated[waiting], stepped[waiting], self._elapsed[waiting] = 0.0, False, False, 0
        truncated = self._elapsed >= self.max_episode_steps
        self._ended = terminated | truncated
        infos = self._restart_at_once(success) if self.autoreset_mode is AutoresetMode.SAME_STEP else None
        return self._observation.copy(), reward, terminated, truncated, infos or _successes(success, stepped)

    def close_extras(self, **given: Any) -> None:
        """Close the simulator if the environment built it."""
        if self._made:
            close(self.simulator)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Pictures (height, width, 3) uint8, one per row, or None without a render mode.

        Raises:
            MissingGraphicsError: This machine cannot draw.
        """
        if self.render_mode is None:
            return None
        return tuple(self.simulator.render(self.state, row) for row in range(self.num_envs))

    def _advance(self, state: Any, action: Tensor, waiting: np.ndarray, fresh: Any) -> Step:
        """Step every row; results of the `waiting` rows (k,), which start with `fresh`, are not used."""
        if fresh is None:
            return self.simulator.step(state, action)
        # ended rows are not stepped, because their state may be invalid
        state = replace(state, self._index(waiting), fresh)
        if not self.simulator.spec.branching_obstacle:
            return self.simulator.step(state, action)
        running = self._index(np.setdiff1d(np.arange(self.num_envs), waiting))
        part = self.simulator.step(select(state, running), action[running])
        whole = (torch.zeros(self.num_envs, *x.shape[1:], dtype=x.dtype) for x in part[1:])
        return Step(
            replace(state, running, part.state),
            *(all_rows.index_copy(0, running, x) for all_rows, x in zip(whole, part[1:], strict=True)),
        )

    def _begin(self, rows: np.ndarray) -> Any:
        """Initial states of the next episodes of `rows` (k,); sets their elapsed steps and observations."""
        if self._state is not None:
            give_up(self.simulator, select(self._state, self._index(rows)))
        fresh = self._buffer.draw(rows, self._streams)
        self._observation[rows] = to_array(self.simulator.observe(fresh))
        self._elapsed[rows], self._ended[rows] = 0, False
        return fresh

    def _restart_at_once(self, success: np.ndarray) -> dict[str, Any] | None:
        """Reset the rows that have just ended and return infos of the step.

        Returns None if no row has ended.
        """
        ended = self._ended.copy()
        rows = np.flatnonzero(ended)
        if not rows.size:
            return None
        final = np.full(self.num_envs, None, dtype=object)
        final[rows] = np.fromiter(self._observation[rows], dtype=object, count=rows.size)
        infos = {"final_obs": final, "_final_obs": ended, "final_info": _successes(success, ended)}
        self._state = replace(self._state, self._index(rows), self._begin(rows))
        return {**infos, "_final_info": ended.copy(), **_successes(success, ~ended)}

    def _seed(self, seeds: Sequence[int | None], rows: Iterable[int]) -> None:
        """Seed the streams of `rows` that have a new seed or none so far."""
        for row in rows:
            if seeds[row] is not None or self._seeds[row] is None:
                self._streams[row], self._seeds[row] = seeding.np_random(seeds[row])
                self._buffer.clear(row)

    def _index(self, rows: np.ndarray) -> Tensor:
        """Rows (k,) int64 on the device of the state."""
        return torch.from_numpy(rows).to(first_array(self._state).device)


def _successes(success: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Infos as `VectorEnv` writes them: values (B,), and a mask (B,) of the rows that have one."""
    return {"is_success": success & mask, "_is_success": mask.copy()} if mask.any() else {}


def _read_mode(mode: str | AutoresetMode) -> AutoresetMode:
    if not isinstance(mode, AutoresetMode) and mode not in _MODES:
        raise HgrpoError(f"unknown autoreset_mode {mode!r}; {nearest(str(mode), _MODES)}")
    return AutoresetMode(mode)


def _read_limit(steps: int) -> int:
    if steps == -1:
        return int(np.iinfo(np.int64).max)
    if steps < 1:
        raise HgrpoError(f"max_episode_steps must be at least 1, or -1 for no limit; given {steps}")
    return steps


def _read_seeds(seed: int | Sequence[int | None] | None, num: int) -> list[int | None]:
    if seed is None:
        return [None] * num
    if isinstance(seed, int):
        return [seed + row for row in range(num)]
    if len(seed) != num:
        raise HgrpoError(f"a list of seeds must have one for each of {num} rows; given {len(seed)}")
    return list(seed)


def _read_mask(options: dict[str, Any] | None, num: int) -> np.ndarray:
    unknown = [name for name in options or {} if name != "reset_mask"]
    if unknown:
        raise HgrpoError(f"unknown option {unknown[0]!r} of reset; {nearest(str(unknown[0]), ('reset_mask',))}")
    if not options:
        return np.ones(num, dtype=np.bool_)
    mask = options["reset_mask"]
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num,):
        given = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise TypeError(f"reset_mask must be a numpy array of bool with shape ({num},); given {given}")
    if not mask.any():
        raise HgrpoError("reset_mask must be true in at least one row; given false in all of them")
    return mask
