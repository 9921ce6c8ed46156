"""The learner's loss on a minibatch, and its gradient without autograd."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hgrpo_control.algorithms import losses
from hgrpo_control.algorithms.batch import Batch, blocks_of
from hgrpo_control.config.learning import Learning
from hgrpo_control.learning.mlp_gradient import MlpGradient
from hgrpo_control.learning.recurrent_gradient import RecurrentGradient
from policies import gaussian
from policies.actor_critic import ActorCritic
from policies.memory import Packing, Recurrent, pack

_BLOCK_ROWS = 8192  # their layers stay in a shared cache; a GPU takes a minibatch at once


class LossTerms(NamedTuple):
    """Means over a minibatch, () each."""

    loss: Tensor
    """What is minimised."""
    policy_loss: Tensor
    value_loss: Tensor
    """NaN without critic."""
    entropy: Tensor
    approx_kl: Tensor
    reference_kl: Tensor
    """NaN without reference policy."""
    clip_fraction: Tensor


class LossGradient:
    """Gradient of policy loss + vf_coef value loss - alpha entropy + kl_coef KL(policy || reference).

    log pi = sum over action entries of -z^2 / 2 - log sigma, with z = (a - mean) / sigma, has the derivatives z / sigma
    by the mean and (z^2 - 1) / sigma by sigma. A batch with wishes has `losses.leashed_wish` for its policy loss, any
    other `losses.clipped_surrogate`.

    Args:
        policy: Its parameters have gradients of zeros already, to which the gradient is added.
        config: Coefficients and clip ranges.

    Raises TypeError for networks that are no MLPs.
    """

    def __init__(self, policy: ActorCritic, config: Learning) -> None:
        self.policy, self.config = policy, config
        self._actor = _Pass(policy.actor)
        self._critic = None if policy.critic is None else _Pass(policy.critic)
        assert policy.raw_sigma.grad is not None
        self._raw_sigma_gradient = policy.raw_sigma.grad
        self._nan = torch.full((), torch.nan, dtype=policy.raw_sigma.dtype, device=policy.device)

    @torch.no_grad()
    def add(self, batch: Batch, alpha: float) -> LossTerms:
        """Add the gradient on a batch that holds features for observations; `alpha` is the entropy's weight."""
        config, rows = self.config, len(batch.observation)
        sigma = self.policy.sigma
        large = sigma.device.type == "cpu" and rows > _BLOCK_ROWS and batch.restart is None
        blocks = blocks_of(batch, _BLOCK_ROWS) if large else [batch]
        terms, by_sigma = self._add(blocks[0], sigma, len(blocks[0].observation) / rows)
        for block in blocks[1:]:
            more = self._add(block, sigma, len(block.observation) / rows)
            terms, by_sigma = terms + more[0], by_sigma + more[1]
        self._raw_sigma_gradient += (by_sigma - alpha) * self.policy.raw_sigma.exp() / sigma
        entropy = gaussian.entropy(sigma)
        policy_loss, value_loss, kl, leash, reference_kl, clipped = terms.unbind()
        loss = policy_loss - alpha * entropy
        if self._critic is not None and batch.value_target is not None:
            loss = loss + config.vf_coef * value_loss
        if batch.reference_log_prob is not None:
            loss = loss + config.kl_coef * leash
        return LossTerms(loss, policy_loss, value_loss, entropy, kl, reference_kl, clipped)

    def _add(self, batch: Batch, sigma: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Add the gradient on a block, that share of the rows of a minibatch.

        Returns the block's share (6,) of policy loss, value loss, KL, weighted and plain reference KL and clip
        fraction, and of the derivative (A,) by log sigma.
        """
        config, features = self.config, batch.observation
        packing = None if batch.restart is None else pack(batch.restart)
        own = self.policy.spec.memory_width
        memory = (None, None) if batch.memory is None else (batch.memory[:, :own], batch.memory[:, own:])
        mean = self._actor.forward(features[:, : self.policy.actor_inputs], memory[0], packing)
        z = (batch.action - mean.unsqueeze(1)) / sigma
        log_prob = gaussian.standard_log_density(z) - sigma.log().sum()
        value_loss, leash, reference_kl = self._nan, self._nan, self._nan
        if batch.wish is None:
            surrogate = losses.clipped_surrogate(
                log_prob, batch.old_log_prob, batch.advantage, batch.weight, config.clip_coef, config.clip_high
            )
            policy_loss, kl, clipped, slope = (
                surrogate.loss, surrogate.approx_kl, surrogate.clip_fraction, share * surrogate.slope
            )  # fmt: skip
        else:
            assert batch.old is not None
            wished = losses.leashed_wish(mean, sigma, batch.old, batch.wish, config.leash)
            policy_loss, kl, clipped, slope = wished.loss, wished.kl, self._nan, torch.zeros_like(log_prob)
        if batch.reference_log_prob is not None:
            leash, reference_kl, leash_slope = losses.reference_kl(log_prob, batch.reference_log_prob, batch.weight)
            slope += share * config.kl_coef * leash_slope
        by_z = slope.unsqueeze(-1) * z
        by_mean, by_log_sigma = (by_z / sigma).sum(1), (by_z * z).sum((0, 1)) - slope.sum()
        if batch.wish is not None:
            by_mean, by_log_sigma = by_mean + share * wished.by_mean, by_log_sigma + share * wished.by_log_sigma
        self._actor.backward(by_mean)
        if self._critic is not None and batch.value_target is not None:
            value = self._critic.forward(features, memory[1], packing).squeeze(-1)
            value_loss = losses.value_loss(value, batch.value_target)
            error = value - batch.value_target
            self._critic.backward((error * (share * config.vf_coef / len(error))).unsqueeze(-1))
        return share * torch.stack((policy_loss, value_loss, kl, leash, reference_kl, clipped)), by_log_sigma


class _Pass:
    """Forward and backward pass of a network, with or without a GRU."""

    def __init__(self, network: nn.Sequential) -> None:
        self._recurrent = RecurrentGradient(network) if isinstance(network, Recurrent) else None
        self._mlp = MlpGradient(network) if self._recurrent is None else None

    def forward(self, x: Tensor, memory: Tensor | None, packing: Packing | None) -> Tensor:
        if self._mlp is not None:
            return self._mlp.forward(x)
        assert self._recurrent is not None
        assert memory is not None
        assert packing is not None
        return self._recurrent.forward(x, memory, packing)

    def backward(self, slope: Tensor) -> None:
        (self._mlp or self._recurrent).backward(slope)  # type: ignore[union-attr]
