"""The policy gradient that a batch stands for, as one flat vector."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hgrpo_control.algorithms import losses
from hgrpo_control.algorithms.batch import Batch
from policies import gaussian
from policies.actor_critic import ActorCritic


def actor_parameters(policy: ActorCritic) -> list[nn.Parameter]:
    """Parameters of the policy's mean and of its sigma; the critic's are left out."""
    return [*policy.actor.parameters(), policy.raw_sigma]


def gradient(policy: ActorCritic, batch: Batch) -> Tensor:
    """(P,) gradient of mean(w A log pi(a|s)), or of a batch's wishes, uphill.

    Neither advantages nor wishes are scaled.
    """
    return gradients(policy, (batch,))[0]


def gradients(policy: ActorCritic, batches: Sequence[Batch]) -> Tensor:
    """(K, P) `gradient` of K batches, with one forward pass for all.

    It is that of the unclipped surrogate (eq. 3) at the policy that acted, whose ratio is 1. Raises ValueError if the
    batches do not share observations and actions.
    """
    first = batches[0]
    for batch in batches[1:]:
        if not (torch.equal(batch.observation, first.observation) and torch.equal(batch.action, first.action)):
            raise ValueError("batches must share observations and actions to share a forward pass")
    mean = policy.mean(first.observation).unsqueeze(1)
    log_prob = gaussian.log_density(first.action, mean, policy.sigma)
    acted = log_prob.detach()
    rows = []
    for batch in batches:
        if batch.wish is None:
            loss = losses.clipped_surrogate(log_prob, acted, batch.advantage, batch.weight, clip_coef=math.inf).loss
        else:
            assert batch.old is not None
            loss = losses.leashed_wish(mean.squeeze(1), policy.sigma, batch.old, batch.wish, leash=0.0).loss
        downhill = torch.autograd.grad(loss, actor_parameters(policy), retain_graph=True)
        rows.append(-torch.cat([part.flatten() for part in downhill]))
    return torch.stack(rows)
