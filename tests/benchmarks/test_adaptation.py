"""The probe of a memory, and the loss of a rotor's thrust in flight."""

from __future__ import annotations

import pytest
import torch

import robots
from benchmarks.adaptation.__main__ import explained, probe, summary
from benchmarks.adaptation.flights import Flights, fly
from hgrpo_control.config.learning import Network
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic
from robots.quadrotor.flight.simulator import QuadrotorFlight

STEPS, EPISODES = 40, 60


def flights(share: float) -> Flights:
    """Memories of three numbers, one of which is the logarithm of the ratio with weight `share`, the rest noise."""
    generator = torch.Generator().manual_seed(0)
    ratio = torch.rand(EPISODES, generator=generator) * 3.0 + 1.5
    memory = torch.randn(STEPS, EPISODES, 3, generator=generator)
    memory[..., 1] = share * ratio.log() + (1.0 - share) * memory[..., 1]
    flying = torch.ones(STEPS, EPISODES, dtype=torch.bool)
    return Flights(memory, torch.ones(STEPS, EPISODES), flying, ratio)


def test_the_probe_reads_what_a_memory_holds_and_nothing_else() -> None:
    known, unknown = flights(1.0), flights(0.0)
    assert explained(known, probe(known), STEPS - 1) > 0.99
    assert explained(unknown, probe(unknown), STEPS - 1) < 0.2


def test_the_summary_counts_flights_that_last_and_their_errors() -> None:
    whole = flights(1.0)
    fewer = whole._replace(flying=whole.flying.clone(), error=torch.full((STEPS, EPISODES), 0.25))
    fewer.flying[20:, :15] = False
    figures = summary(whole, probe(whole), {"memory": fewer}, 10.0)
    assert figures["after the loss, memory"]["still flying"] == 0.75
    assert figures["after the loss, memory"]["median error at the end [m]"] == 0.25


@pytest.mark.parametrize("memory", ["gru", "none"])
def test_a_loss_of_thrust_changes_the_flight_from_its_step_on(memory: str) -> None:
    simulator = robots.make("quadrotor-hover-randomized")
    assert isinstance(simulator, QuadrotorFlight)
    network = Network((8,), memory="gru", memory_size=4) if memory == "gru" else Network((8,))
    policy = ActorCritic(policy_spec(simulator.spec, network, critic=False), generator=torch.Generator().manual_seed(0))
    whole, lost = fly(policy, simulator, 4, 1), fly(policy, simulator, 4, 1, loss=0.2, loss_step=10)
    assert torch.equal(whole.error[:10], lost.error[:10])
    assert not torch.equal(whole.error[14], lost.error[14])
    assert whole.memory.shape == (500, 4, 4 if memory == "gru" else 0)
    assert bool((whole.thrust_to_weight > 1.0).all())
