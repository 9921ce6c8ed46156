"""Episodes: time limits and resets for every simulator."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.simulator import Adjustable, Simulator, Step, first_array, map_state, replace, select

_LEAST_AHEAD = 16


class Episodes(NamedTuple):
    """State of a simulator, the age of each row's episode, and the memory of the policy that acts in it."""

    state: Any
    """State of the simulator."""
    elapsed: Tensor
    """(B,) int64 control steps since the start of the episode."""
    memory: Tensor
    """(B, M) what the policy carries from step to step, zeros at the start; M is 0 for a policy without memory."""


class Transition(NamedTuple):
    """Result of one control step of each row, before any reset."""

    episodes: Episodes
    observation: Tensor
    """(B, O) observation after the step; for a finished row, the last one of its episode."""
    reward: Tensor
    """(B,)."""
    terminated: Tensor
    """(B,) bool, true where the simulator ended the episode."""
    truncated: Tensor
    """(B,) bool, true where the time limit ended the episode; never true together with `terminated`."""


def reset_episodes(simulator: Simulator, num: int, seed: int | torch.Generator, memory_width: int = 0) -> Episodes:
    """Start episodes.

    Args:
        simulator: The simulator.
        num: Number of episodes B.
        seed: Seed of a new generator, or a generator, which is advanced.
        memory_width: M, entries of the policy's memory.
    """
    state = simulator.reset(num, seed)
    device = first_array(state).device
    elapsed = torch.zeros(num, dtype=torch.int64, device=device)
    return Episodes(state, elapsed, torch.zeros(num, memory_width, dtype=torch.float32, device=device))


def step_episodes(simulator: Simulator, episodes: Episodes, action: Tensor, memory: Tensor | None = None) -> Transition:
    """Take one control step and apply the time limit.

    Args:
        simulator: The simulator.
        episodes: B rows.
        action: (B, A) actions.
        memory: (B, M) memory of the policy after it acted; None keeps the one of `episodes`.
    """
    return after_step(episodes, simulator.step(episodes.state, action), simulator.spec.max_episode_steps, memory)


def after_step(episodes: Episodes, step: Step, limit: int, memory: Tensor | None = None) -> Transition:
    """Apply the time limit to a control step.

    Args:
        episodes: B rows before it.
        step: Its result.
        limit: Time limit in control steps.
        memory: As for `step_episodes`.
    """
    elapsed = episodes.elapsed + 1
    truncated = (elapsed >= limit) & ~step.terminated
    carried = episodes.memory if memory is None else memory
    return Transition(Episodes(step.state, elapsed, carried), step.observation, step.reward, step.terminated, truncated)


class Beginning(NamedTuple):
    """Episodes that have just begun, and what they show."""

    episodes: Episodes
    observation: Tensor
    """(B, O)."""


class FreshEpisodes:
    """Episodes that begin in single rows, drawn in blocks, because a reset takes about as long for one row as for many.

    A block depends on its seed and on the simulator's settings alone. After a change of a setting, such as the
    difficulty, what is left of the block is drawn again from its seed. A simulator that cannot restore states draws no
    row ahead.

    Args:
        simulator: The simulator.
        rows: Number of rows in which episodes may begin; a block is an eighth of them, at least 16.
        generator: Source of the seeds of blocks; it is advanced.
        memory_width: M, entries of the policy's memory.
    """

    def __init__(self, simulator: Simulator, rows: int, generator: torch.Generator, memory_width: int = 0) -> None:
        self.simulator, self.generator, self.memory_width = simulator, generator, memory_width
        self.ahead = 0 if simulator.spec.branching_obstacle else max(rows // 8, _LEAST_AHEAD)
        self._seed = self._size = self._left = 0
        self._block: Beginning | None = None  # None where it is still to be drawn from its seed
        self._settings: dict[str, float] = {}

    def draw(self, num: int) -> Beginning:
        """The next `num` episodes, at least one."""
        if self._left >= num:
            return self._take(num)
        missing = num - self._left
        rest = [self._take(self._left)] if self._left else []
        self._seed = int(torch.randint(2**62, (), generator=self.generator, device=self.generator.device))
        self._size = self._left = max(self.ahead, missing)
        self._block = None
        return map_state(lambda *x: torch.cat(x), *rest, self._take(missing))

    def state_dict(self) -> dict[str, int]:
        """Seed and size of the block, and how many of its rows are left; the generator is not part of it."""
        return {"seed": self._seed, "size": self._size, "left": self._left}

    def load_state_dict(self, saved: dict[str, int]) -> None:
        """Continue exactly from a `state_dict`; an empty one begins a new block."""
        self._seed, self._size, self._left = (saved.get(name, 0) for name in ("seed", "size", "left"))
        self._block = None

    def _take(self, num: int) -> Beginning:
        settings = dict(self.simulator.settings) if isinstance(self.simulator, Adjustable) else {}
        if self._block is None or settings != self._settings:
            episodes = reset_episodes(self.simulator, self._size, self._seed, self.memory_width)
            self._block, self._settings = Beginning(episodes, self.simulator.observe(episodes.state)), settings
        first = self._size - self._left
        self._left -= num
        return select(self._block, slice(first, first + num))


def autoreset(episodes: Episodes, observation: Tensor, rows: Tensor, fresh: Beginning) -> tuple[Episodes, Tensor]:
    """Begin new episodes in some rows; the other rows do not change.

    Args:
        episodes: B rows.
        observation: (B, O) observation of the rows.
        rows: (k,) int64 rows to reset.
        fresh: The k new episodes.

    Returns:
        Episodes and observation (B, O) of all rows.
    """
    return replace(Beginning(episodes, observation), rows, fresh)
