"""Policies with memory, and sequences of observations for them, for the tests of exports and servers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from policies.actor_critic import ActorCritic
from policies.carried import Carried
from support.exported_policies import make_policy, make_spec

MEMORIES = {"gru": 12, "history": 3}
"""Kinds of memory with the sizes that these policies have."""


def remembering(memory: str, seed: int = 0, **fields: object) -> ActorCritic:
    """A policy with memory whose actions lie all over their range."""
    return make_policy(make_spec(memory=memory, memory_size=MEMORIES[memory], **fields), seed)


def sequences_of(policy: ActorCritic, steps: int, rows: int, seed: int = 1) -> NDArray[np.float32]:
    """(steps, rows, O) observations around the policy's mean."""
    shift, scale = policy.normalizer.shift_and_scale()
    draw = torch.randn(steps, rows, len(shift), generator=torch.Generator().manual_seed(seed))
    return (shift + draw / scale).numpy()


def actions_over(policy: ActorCritic, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, B, A) actions of torch over the steps (T, B, O) of sequences."""
    carried = Carried(policy)
    return np.stack([carried(torch.from_numpy(rows)).numpy() for rows in observation])


def shares(policy: ActorCritic, action: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float64]:
    """|Differences| as shares of the range of each action."""
    action_range = np.array(policy.spec.action_high) - np.array(policy.spec.action_low)
    return np.abs(action.astype(np.float64) - expected) / action_range
