"""Policies with the look of trained ones, and observations for them, for the tests of exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from policies.actor_critic import ActorCritic
from policies.spec import Channel, PolicySpec

SPEC = PolicySpec(
    task="hover",
    robot="cf2x",
    control_hz=100.0,
    observation=tuple(Channel(name, "m/s", "body") for name in ("u", "v", "w")),
    action=(Channel("thrust", "N"), Channel("roll_rate", "rad/s")),
    action_low=(0.0, -3.0),
    action_high=(0.6, 5.0),
    safe_action=(0.3, 0.0),
    hidden_sizes=(16,),
)
ELU_SPEC = replace(SPEC, activation="elu")
OBSERVATIONS = np.random.default_rng(0).normal(0.5, 2.0, (40, 3)).astype(np.float32)
"""(40, 3) observations for these two."""


def make_spec(
    size: int = 5, low: Sequence[float] = (-2.0, 0.1), high: Sequence[float] = (0.3, 7.7), **fields: object
) -> PolicySpec:
    """A spec with `size` observation entries and the given bounds."""
    return PolicySpec(
        task="hover",
        robot="cf2x",
        control_hz=100.0,
        observation=tuple(Channel(f"observation_{i}", "m/s", "body") for i in range(size)),
        action=tuple(Channel(f"action_{i}", "N") for i in range(len(low))),
        action_low=tuple(low),
        action_high=tuple(high),
        safe_action=tuple(0.5 * (a + b) for a, b in zip(low, high, strict=True)),
        **{"hidden_sizes": (16, 8), **fields},  # type: ignore[arg-type]
    )


def make_policy(spec: PolicySpec, seed: int = 0, kind: type[ActorCritic] = ActorCritic) -> ActorCritic:
    """Actions all over their range, statistics far from 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    policy = kind(spec, generator=generator)
    draw = torch.randn(202, spec.observation_size, generator=generator)
    policy.normalizer.update(draw[0] * 3.0 + draw[1].exp() * draw[2:])
    with torch.no_grad():
        policy.actor[-1].weight.mul_(50.0)
        for parameter in policy.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return policy


def observations_of(policy: ActorCritic, rows: int, seed: int = 1) -> NDArray[np.float32]:
    """(rows, O) observations around the policy's mean."""
    shift, scale = policy.normalizer.shift_and_scale()
    draw = torch.randn(rows, len(shift), generator=torch.Generator().manual_seed(seed))
    return (shift + draw / scale).numpy()


def torch_actions(policy: ActorCritic, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, A) what the policy itself gives."""
    with torch.no_grad():
        return policy(torch.from_numpy(observation)).numpy()
