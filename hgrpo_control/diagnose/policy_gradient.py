"""The policy gradient that a batch stands for, as one flat vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hgrpo_control.algorithms import losses
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.learning.recurrent_gradient import RecurrentGradient
from hgrpo_control.learning.sequences import in_sequences
from policies import gaussian
from policies.actor_critic import ActorCritic
from policies.memory import Recurrent, pack


def actor_parameters(policy: ActorCritic) -> list[nn.Parameter]:
    """Parameters of the policy's mean and of its sigma; the critic's are left out."""
    return [*policy.actor.parameters(), policy.raw_sigma]


def along_paths(batch: Batch, rollout: Rollout, policy: ActorCritic, sequence_steps: int | None = None) -> Batch:
    """The batch of a recurrent policy as sequences; that of any other policy as it is.

    Args:
        batch: Of the rollout.
        rollout: T steps in branches of n.
        policy: The one that acted.
        sequence_steps: Steps after which a sequence begins anew, with the memory that is stored there; None goes
            through the whole path. A path has T steps along executed samples and n where siblings have their own.
    """
    if not policy.recurrent:
        return batch
    steps, _, group = rollout.observation.shape[:3]
    path = steps if group == 1 else min(rollout.branch_length, steps)
    batch = in_sequences(batch, rollout, path, policy.memory_width)
    assert batch.restart is not None
    batch.restart.view(-1, path)[:, :: sequence_steps or path] = True
    return batch


def gradient(policy: ActorCritic, batch: Batch) -> Tensor:
    """(P,) gradient of mean(w A log pi(a|s)), or of a batch's wishes, uphill.

    Neither advantages nor wishes are scaled. The gradient of a batch in sequences goes through time.
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
    mean, by_actor = _mean(policy, first)
    sigma = policy.sigma
    log_prob = gaussian.log_density(first.action, mean.unsqueeze(1), sigma)
    acted = log_prob.detach()
    rows = []
    for batch in batches:
        if batch.wish is None:
            loss = losses.clipped_surrogate(log_prob, acted, batch.advantage, batch.weight, clip_coef=math.inf).loss
        else:
            assert batch.old is not None
            loss = losses.leashed_wish(mean, sigma, batch.old, batch.wish, leash=0.0).loss
        by_mean, by_raw_sigma = torch.autograd.grad(loss, (mean, policy.raw_sigma), retain_graph=True)
        rows.append(-torch.cat((by_actor(by_mean), by_raw_sigma)))
    return torch.stack(rows)


def _mean(policy: ActorCritic, batch: Batch) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Means (R, A) of a batch, and the function from derivatives by them to those by the actor's parameters."""
    *parameters, _ = actor_parameters(policy)
    if batch.restart is None:
        mean = policy.mean(batch.observation)

        def by_autograd(slope: Tensor) -> Tensor:
            return torch.cat([g.flatten() for g in torch.autograd.grad(mean, parameters, slope, retain_graph=True)])

        return mean, by_autograd
    assert batch.memory is not None
    assert isinstance(policy.actor, Recurrent)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    network, own = RecurrentGradient(policy.actor), policy.spec.memory_width
    features = policy.actor_features()(batch.observation)
    through_time = network.forward(features, batch.memory[:, :own], pack(batch.restart)).clone().requires_grad_()

    def by_hand(slope: Tensor) -> Tensor:
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.zero_()
        network.backward(slope)
        return torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])

    return through_time, by_hand
