"""The learner: epochs of shuffled minibatches over a batch, whichever algorithm made it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from hgrpo_control import losses
from hgrpo_control.batch import Batch, rows_of
from hgrpo_control.config import Learning
from hgrpo_control.rollout import NotFiniteError
from policies import gaussian
from policies.actor_critic import ActorCritic


class LearnerStats(NamedTuple):
    """Means over the minibatches of one update."""

    policy_loss: float
    value_loss: float
    """NaN without critic."""
    entropy: float
    approx_kl: float
    clip_fraction: float
    grad_norm: float
    """Of the actor, before it is shortened."""
    explained_variance: float
    """Of V before the update; NaN without critic."""
    learning_rate: float
    epochs: int
    """Passes made; fewer than asked for when the KL stop took hold."""


class Learner:
    """Adam on policy loss + vf_coef value loss - ent_coef entropy, actor and critic shortened to max_grad_norm each."""

    def __init__(self, policy: ActorCritic, config: Learning, seed: int) -> None:
        self.policy, self.config = policy, config
        self.optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)
        self.generator = torch.Generator().manual_seed(seed)

    def update(self, batch: Batch, progress: float = 0.0) -> LearnerStats:
        """Improve the policy on a batch; `progress` in [0, 1] is how much of the run has passed.

        Raises NotFiniteError before any parameter is touched by a loss or gradient that is not finite.
        """
        config = self.config
        learning_rate = config.learning_rate * (1.0 - progress if config.lr_schedule == "linear" else 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        if config.normalize_advantage:
            batch = batch._replace(advantage=standardize(batch.advantage, batch.weight))
        rows = batch.observation.shape[0]
        totals = torch.zeros(6, dtype=torch.float64)
        epochs = minibatches = 0
        for _ in range(config.update_epochs):
            order = torch.randperm(rows, generator=self.generator)
            epoch_kl = torch.zeros((), dtype=torch.float64)
            chunks = order.chunk(config.num_minibatches)
            for chosen in chunks:
                terms = self._step(rows_of(batch, chosen))
                totals += terms
                epoch_kl += terms[3]
                minibatches += 1
            epochs += 1
            if config.target_kl is not None and epoch_kl / len(chunks) > config.target_kl:
                break
        explained = torch.tensor(torch.nan)
        if batch.value is not None and batch.value_target is not None:
            explained = losses.explained_variance(batch.value, batch.value_target)
        policy_loss, value_loss, entropy, kl, clipped, norm = (totals / minibatches).tolist()
        return LearnerStats(
            policy_loss, value_loss, entropy, kl, clipped, norm, float(explained), learning_rate, epochs
        )

    def state_dict(self) -> dict[str, Any]:
        """Optimiser moments and the shuffling generator."""
        return {"optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on exactly where the learner that gave this `state_dict` stood."""
        self.optimizer.load_state_dict(saved["optimizer"])
        self.generator.set_state(saved["generator"])

    def _step(self, batch: Batch) -> Tensor:
        """One gradient step; returns policy loss, value loss, entropy, KL, clip fraction and gradient norm (6,)."""
        policy, config = self.policy, self.config
        value_loss = torch.tensor(0.0)
        if batch.value_target is None:
            mean = policy.mean(batch.observation)
        else:
            mean, value = policy.mean_and_value(batch.observation)
            value_loss = losses.value_loss(value, batch.value_target)
        log_prob = gaussian.log_density(batch.action, mean.unsqueeze(1), policy.sigma)
        surrogate = losses.clipped_surrogate(
            log_prob, batch.old_log_prob, batch.advantage, batch.weight, config.clip_coef
        )
        entropy = policy.entropy()
        loss = surrogate.loss + config.vf_coef * value_loss - config.ent_coef * entropy
        if not torch.isfinite(loss):
            raise NotFiniteError(
                f"the loss is not finite: policy {surrogate.loss.item()}, value {value_loss.item()}, "
                f"entropy {entropy.item()}"
            )
        self.optimizer.zero_grad()
        loss.backward()
        norm = self._shorten_gradients()
        self.optimizer.step()
        shown = value_loss if batch.value_target is not None else torch.tensor(torch.nan)
        terms = (surrogate.loss, shown, entropy, surrogate.approx_kl, surrogate.clip_fraction, norm)
        return torch.stack([term.detach().double() for term in terms])

    def _shorten_gradients(self) -> Tensor:
        """Cut the gradients of actor and critic to max_grad_norm, each by itself; returns the actor's norm before.

        The networks share nothing, so a critic far from its targets must not shorten the policy's step.
        """
        critic = [] if self.policy.critic is None else list(self.policy.critic.parameters())
        in_critic = {id(parameter) for parameter in critic}
        actor = [parameter for parameter in self.policy.parameters() if id(parameter) not in in_critic]
        limit = self.config.max_grad_norm
        actor_norm, critic_norm = (torch.nn.utils.clip_grad_norm_(group, limit) for group in (actor, critic))
        if not torch.isfinite(actor_norm + critic_norm):
            raise NotFiniteError(
                f"a gradient is not finite though the loss is: norm {actor_norm:.3g} of the actor, "
                f"{critic_norm:.3g} of the critic"
            )
        return actor_norm


def standardize(advantage: Tensor, weight: Tensor) -> Tensor:
    """Advantages with mean 0 and variance 1 over the samples of weight above 0; the others are left out of both."""
    counts = (weight > 0.0).to(advantage.dtype)
    total = counts.sum().clamp_min(1.0)
    centred = advantage - (advantage * counts).sum() / total
    deviation = ((centred.square() * counts).sum() / total).sqrt()
    # What is left of a constant after subtracting its rounded mean is noise, and must not be blown up to variance 1.
    noise = 8.0 * torch.finfo(advantage.dtype).eps * (advantage * counts).abs().max()
    return torch.where(deviation <= noise, 0.0, centred / deviation)  # NaN passes, to be reported
