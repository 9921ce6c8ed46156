"""Time limits and restarts, written once for every simulator."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.simulator import Simulator, first_array, replace


class Episodes(NamedTuple):
    """Rows of a simulator together with how long each has been running."""

    state: Any
    """State of the simulator."""
    elapsed: Tensor
    """(B,) int64 control steps since the row's episode began."""


class Transition(NamedTuple):
    """What one control step did to each row, before any restart."""

    episodes: Episodes
    observation: Tensor
    """(B, O) observation after the step; of a finished row, its last one."""
    reward: Tensor
    """(B,)."""
    terminated: Tensor
    """(B,) bool, ended for good."""
    truncated: Tensor
    """(B,) bool, cut by the time limit while it could have gone on; never true together with `terminated`."""


def reset_episodes(simulator: Simulator, num: int, seed: int | torch.Generator) -> Episodes:
    """Start `num` episodes."""
    state = simulator.reset(num, seed)
    return Episodes(state, torch.zeros(num, dtype=torch.int64, device=first_array(state).device))


def step_episodes(simulator: Simulator, episodes: Episodes, action: Tensor) -> Transition:
    """Take one control step (B, A) in every row."""
    step = simulator.step(episodes.state, action)
    elapsed = episodes.elapsed + 1
    truncated = (elapsed >= simulator.spec.max_episode_steps) & ~step.terminated
    return Transition(Episodes(step.state, elapsed), step.observation, step.reward, step.terminated, truncated)


def autoreset(
    simulator: Simulator, episodes: Episodes, observation: Tensor, rows: Tensor, generator: torch.Generator
) -> tuple[Episodes, Tensor]:
    """Begin new episodes in `rows` (k,) int64; the other rows of episodes and observation (B, O) stay as they are."""
    fresh = reset_episodes(simulator, int(rows.numel()), generator)
    return replace(episodes, rows, fresh), observation.index_copy(0, rows, simulator.observe(fresh.state))
