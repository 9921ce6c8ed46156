"""Sequences of a batch on which a recurrent policy is trained."""

from __future__ import annotations

import torch
from torch import Tensor

from hgrpo_control.algorithms.batch import Batch, rows_of
from hgrpo_control.algorithms.rollout import Rollout
from policies.actor_critic import ActorCritic
from policies.memory import Recurrent, gru_step


def in_sequences(batch: Batch, rollout: Rollout, path_steps: int, memory_width: int) -> Batch:
    """A batch whose rows follow one another in time, path by path, with the memory before each row.

    Args:
        batch: Of the rollout, rows in the order (T, E, G).
        rollout: Of a policy with memory.
        path_steps: Steps that follow one another.
        memory_width: M.
    """
    steps, roots, group = rollout.observation.shape[:3]
    paths = torch.arange(len(batch.observation), device=batch.observation.device)
    paths = paths.view(steps // path_steps, path_steps, roots * group).transpose(1, 2).flatten()
    done = rollout.done[:, :, :group]
    restart = torch.ones_like(done)
    restart[1:] = done[:-1]
    restart[::path_steps] = True
    memory = batch.observation[:, batch.observation.shape[1] - memory_width :]
    return rows_of(batch._replace(memory=memory, restart=restart.flatten()), paths)


@torch.no_grad()
def refreshed(batch: Batch, policy: ActorCritic, steps: int, burn_in: int) -> Batch:
    """A batch whose sequences begin with the memory of the present policy (Kapturowski et al., 2019).

    Args:
        batch: From `in_sequences`.
        policy: It has changed since the rollout.
        steps: Of a sequence.
        burn_in: Steps before a sequence from which its memory is computed, from the stored memory on. Where an episode
            began among them, from there.
    """
    assert batch.memory is not None
    assert batch.restart is not None
    begins = torch.arange(0, len(batch.memory), steps, device=batch.memory.device)
    begins = begins[~batch.restart[begins]]
    burn_in = min(burn_in, steps)
    memory = batch.memory[begins - burn_in]
    for age in range(burn_in, 0, -1):
        rows = begins - age
        memory = torch.where(batch.restart[rows].unsqueeze(1), batch.memory[rows], memory)
        memory = _after(policy, policy.critic_features(batch.observation[rows]), memory)
    return batch._replace(memory=batch.memory.index_copy(0, begins, memory))


def _after(policy: ActorCritic, features: Tensor, memory: Tensor) -> Tensor:
    """Memory (B, M) of a recurrent policy after features (B, I) and the memory before them."""
    networks = [network for network in (policy.actor, policy.critic) if isinstance(network, Recurrent)]
    states = memory.chunk(len(networks), dim=1)
    return torch.cat(
        [gru_step(net.cell, net.before(features), state) for net, state in zip(networks, states, strict=True)], dim=1
    )
