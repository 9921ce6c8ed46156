"""Flights of a policy in which its memory, what is hidden and the position error are recorded."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from policies.actor_critic import ActorCritic
from robots.episodes import reset_episodes, step_episodes
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.flight.state import FlightState


class Flights(NamedTuple):
    """B episodes of T control steps; an episode that ended is masked from there on."""

    memory: Tensor
    """(T, B, M) after each step."""
    error: Tensor
    """(T, B) distance from the target [m]."""
    flying: Tensor
    """(T, B) bool, whether the episode was running before the step."""
    thrust_to_weight: Tensor
    """(B,) true ratio of the largest thrust to the weight."""


@torch.no_grad()
def fly(
    policy: ActorCritic, simulator: QuadrotorFlight, episodes: int, seed: int, loss: float = 0.0, loss_step: int = 0
) -> Flights:
    """Fly the mean action.

    Args:
        policy: With or without memory.
        simulator: A task of the quadrotor that draws hidden parameters.
        episodes: B.
        seed: Of the starts.
        loss: Share of the thrust of rotor 1 that is lost at `loss_step`, beyond what was drawn.
        loss_step: Control step of the loss.
    """
    running = reset_episodes(simulator, episodes, seed)
    ratio = thrust_to_weight(simulator, running.state)
    observation = simulator.observe(running.state)
    memory = torch.zeros(episodes, policy.spec.memory_width)
    alive = torch.ones(episodes, dtype=torch.bool)
    memories, errors, flying = [], [], []
    for step in range(simulator.spec.max_episode_steps):
        if loss and step == loss_step:
            hidden = running.state.hidden
            factor = torch.tensor([1.0 - loss, 1.0, 1.0, 1.0], dtype=hidden.rotor_thrust.dtype)
            hidden = hidden._replace(rotor_thrust=hidden.rotor_thrust * factor)
            running = running._replace(state=running.state._replace(hidden=hidden))
        action = policy(observation, memory) if policy.spec.memory_width else policy(observation)
        if isinstance(action, tuple):
            action, memory = action
        flying.append(alive.clone())
        transition = step_episodes(simulator, running, action)
        running, observation = transition.episodes, transition.observation
        memories.append(memory)
        errors.append(simulator.signals(running.state)["position error [m]"].norm(dim=1))
        alive &= ~(transition.terminated | transition.truncated)
    return Flights(torch.stack(memories), torch.stack(errors), torch.stack(flying), ratio)


def thrust_to_weight(simulator: QuadrotorFlight, state: FlightState) -> Tensor:
    """(B,) largest thrust over weight of the drawn airframes."""
    names = [entry.name for entry in simulator.spec.privileged]
    shown = simulator.privileged(state)
    if "log_thrust_to_weight" in names:
        return shown[:, names.index("log_thrust_to_weight")].exp()
    rotors = [names.index(f"rotor_{i}_thrust_factor") for i in (1, 2, 3, 4)]
    factor = shown[:, rotors].mean(1) / shown[:, names.index("mass_factor")]
    return simulator.parameters.thrust_to_weight * factor
