"""Episodes: time limits and resets for every simulator."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.simulator import Simulator, first_array, replace


class Episodes(NamedTuple):
    """State of a simulator and the age of each row's episode."""

    state: Any
    """State of the simulator."""
    elapsed: Tensor
    """(B,) int64 control steps since the start of the episode."""


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


def reset_episodes(simulator: Simulator, num: int, seed: int | torch.Generator) -> Episodes:
    """Start episodes.

    Args:
        simulator: The simulator.
        num: Number of episodes B.
        seed: Seed of a new generator, or a generator, which is advanced.
    """
    state = simulator.reset(num, seed)
    return Episodes(state, torch.zeros(num, dtype=torch.int64, device=first_array(state).device))


def step_episodes(simulator: Simulator, episodes: Episodes, action: Tensor) -> Transition:
    """Take one control step and apply the time limit.

    Args:
        simulator: The simulator.
        episodes: B rows.
        action: (B, A) actions.
    """
    step = simulator.step(episodes.state, action)
    elapsed = episodes.elapsed + 1
    truncated = (elapsed >= simulator.spec.max_episode_steps) & ~step.terminated
    return Transition(Episodes(step.state, elapsed), step.observation, step.reward, step.terminated, truncated)


def autoreset(
    simulator: Simulator, episodes: Episodes, observation: Tensor, rows: Tensor, generator: torch.Generator
) -> tuple[Episodes, Tensor]:
    """Start new episodes in some rows; the other rows do not change.

    Args:
        simulator: The simulator of all rows.
        episodes: B rows.
        observation: (B, O) observation of the rows.
        rows: (k,) int64 rows to reset.
        generator: Source of the initial states; it is advanced.

    Returns:
        Episodes and observation (B, O) of all rows.
    """
    fresh = reset_episodes(simulator, int(rows.numel()), generator)
    return replace(episodes, rows, fresh), observation.index_copy(0, rows, simulator.observe(fresh.state))
