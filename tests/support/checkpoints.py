"""A small policy on disk, and the lines with which checkpoints are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from policies import checkpoint
from policies.actor_critic import ActorCritic
from policies.checkpoint import CheckpointError
from policies.spec import Channel, PolicySpec

SPEC = PolicySpec(
    task="reach",
    robot="arm",
    control_hz=50.0,
    observation=tuple(Channel(f"o{i}") for i in range(3)),
    action=(Channel("a0"), Channel("a1")),
    action_low=(-1.0, 0.0),
    action_high=(1.0, 0.3),
    safe_action=(0.0, 0.1),
    hidden_sizes=(8,),
)


def trained_policy(spec: PolicySpec = SPEC, init_sigma: float = 0.5) -> ActorCritic:
    """A policy whose every tensor differs from a fresh one's."""
    generator = torch.Generator().manual_seed(1)
    policy = ActorCritic(spec, init_sigma, generator)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    policy.normalizer.update(torch.randn(100, spec.observation_size, generator=generator) * 3.0 + 7.0)
    return policy


def refused(path: Path) -> str:
    """The message with which a file is refused; it is one line that names the file."""
    with pytest.raises(CheckpointError) as raised:
        checkpoint.restore(path)
    message = str(raised.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1
    return message
