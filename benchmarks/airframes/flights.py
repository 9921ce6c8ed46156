"""Flights of one policy, with or without memory, on the airframes of a task."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from robots.quadrotor.flight.simulator import QuadrotorFlight


class Pilot(Protocol):
    """A policy over the steps of B episodes, such as `policies.carried.Carried`."""

    def reset(self) -> None:
        """Forget everything, as at the beginning of an episode."""

    def __call__(self, observation: Tensor) -> Tensor:
        """Action (B, A) for observations (B, O) of the same episodes as before."""


class Figures(NamedTuple):
    """Figures of B flights."""

    success: float
    """Share that reached the goal."""
    flying: float
    """Share that still flew at the time limit."""
    error: float
    """Median position error of these, each the mean over the last second [m]; NaN if none flew."""


@torch.no_grad()
def fly(pilot: Pilot, simulator: QuadrotorFlight, num: int, seed: int) -> Figures:
    """Fly `num` episodes to their time limit.

    Args:
        pilot: The policy.
        simulator: A task whose signals have a position error.
        num: Number of episodes.
        seed: Seed of their starts, airframes and wind.
    """
    pilot.reset()
    state = simulator.reset(num, seed)
    observation, flying = simulator.observe(state), torch.ones(num, dtype=torch.bool)
    total, counted = torch.zeros(num), round(simulator.spec.control_hz)
    for left in reversed(range(simulator.spec.max_episode_steps)):
        step = simulator.step(state, pilot(observation))
        state, observation = step.state, step.observation
        flying &= ~step.terminated
        if left < counted:
            total += simulator.signals(state)["position error [m]"].norm(dim=1) / counted
    success = simulator.success(state) & flying
    error = total[flying].median().item() if flying.any() else float("nan")
    return Figures(success.float().mean().item(), flying.float().mean().item(), error)
