"""The learner: epochs of shuffled minibatches over a batch, whichever algorithm made it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hgrpo_control.algorithms import losses
from hgrpo_control.algorithms.batch import Batch, minibatches_of
from hgrpo_control.algorithms.rollout import NotFiniteError
from hgrpo_control.config.learning import Learning
from hgrpo_control.learning.gradient_noise import GradientMoments
from hgrpo_control.learning.temperature import Temperature, gaussian_entropy
from policies import gaussian
from policies.actor_critic import ActorCritic


class LearnerStats(NamedTuple):
    """Means over the minibatches of one update."""

    policy_loss: float
    value_loss: float
    """NaN without critic."""
    entropy: float
    approx_kl: float
    reference_kl: float
    """NaN without reference policy."""
    clip_fraction: float
    grad_norm: float
    """Of the actor, before it is shortened."""
    explained_variance: float
    """Of V before the update; NaN without critic."""
    learning_rate: float
    epochs: int
    """Passes made; fewer than asked for when the KL stop took hold."""
    temperature: float
    """alpha of eq. 15 after the update."""
    gradient_noise_scale: float
    """In samples of weight above 0, from the actor's gradients of the first pass before they are shortened. The policy
    moves a little from one minibatch to the next, which counts as noise."""


class Learner:
    """Adam on policy loss + vf_coef value loss - alpha entropy (eq. 15) + kl_coef KL(policy || reference), actor and
    critic shortened to max_grad_norm each."""

    def __init__(self, policy: ActorCritic, config: Learning, seed: int, reference: ActorCritic | None = None) -> None:
        self.policy, self.config, self.reference = policy, config, reference
        self.optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)
        critic = [] if policy.critic is None else list(policy.critic.parameters())
        in_critic = {id(parameter) for parameter in critic}
        # The networks share nothing, so a critic far from its targets must not shorten the policy's step.
        self._critic, self._actor = critic, [p for p in policy.parameters() if id(p) not in in_critic]
        self.generator = torch.Generator(policy.device).manual_seed(seed)
        self._not_measured = torch.full((), torch.nan, dtype=torch.float32, device=policy.device)
        sigma, size = config.target_sigma, policy.spec.action_size
        target = None if sigma is None else gaussian_entropy(sigma, size)
        self.temperature = Temperature(config.ent_coef, target, config.ent_learning_rate)
        self._moments: GradientMoments | None = None  # of the first pass, while it lasts

    def update(self, batch: Batch, progress: float = 0.0) -> LearnerStats:
        """Improve the policy on a batch; `progress` in [0, 1] is how much of the run has passed.

        A batch without any sample of weight above 0 changes nothing, the optimiser's moments included. Raises
        NotFiniteError before any parameter is touched by a loss or gradient that is not finite.
        """
        config = self.config
        share = 1.0 - progress if config.lr_schedule == "linear" else 1.0
        learning_rate = config.learning_rate * share
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        if not batch.weight.any():
            return self._nothing_learned(batch, learning_rate)
        if config.normalize_advantage:
            batch = batch._replace(advantage=standardize(batch.advantage, batch.weight))
        if self.reference is not None:
            batch = batch._replace(reference_log_prob=_log_prob_under(self.reference, batch))
        rows = batch.observation.shape[0]
        # The normaliser rests while the policy learns.
        batch = batch._replace(observation=self.policy.critic_features(batch.observation))
        totals = torch.zeros(7, dtype=torch.float64, device=self.policy.device)
        epochs = minibatches = 0
        moments = self._moments = GradientMoments()
        for _ in range(config.update_epochs):
            order = torch.randperm(rows, generator=self.generator, device=self.policy.device)
            epoch_kl = torch.zeros((), dtype=torch.float64, device=self.policy.device)
            chunks = minibatches_of(batch, order, config.num_minibatches)
            for minibatch in chunks:
                terms = self._step(minibatch)
                totals += terms
                epoch_kl += terms[3]
                if config.target_sigma is not None:
                    self.temperature.update(terms[2].item(), share)
                minibatches += 1
            epochs += 1
            self._moments = None
            if config.target_kl is not None and epoch_kl / len(chunks) > config.target_kl:
                break
        policy_loss, value_loss, entropy, kl, reference_kl, clipped, norm = (totals / minibatches).tolist()
        explained = _explained_variance(batch)
        return LearnerStats(
            policy_loss,
            value_loss,
            entropy,
            kl,
            reference_kl,
            clipped,
            norm,
            explained,
            learning_rate,
            epochs,
            self.temperature.value,
            moments.noise_scale(int((batch.weight > 0.0).sum()) / config.num_minibatches),
        )

    def state_dict(self) -> dict[str, Any]:
        """Optimiser moments, the shuffling generator, and the temperature if it is adapted."""
        state = {"optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state()}
        return state | ({"temperature": self.temperature.state_dict()} if self.config.target_sigma is not None else {})

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on exactly where the learner that gave this `state_dict` stood."""
        self.optimizer.load_state_dict(saved["optimizer"])
        self.generator.set_state(saved["generator"])
        if self.config.target_sigma is not None:
            self.temperature.load_state_dict(saved["temperature"])

    def _step(self, batch: Batch) -> Tensor:
        """One gradient step on a batch that holds features for observations.

        Returns policy loss, value loss, entropy, KL from the old policy, KL to the reference, clip fraction and
        gradient norm (7,).
        """
        policy, config, alpha = self.policy, self.config, self.temperature.value
        mean, value = policy.mean_and_value_of(batch.observation)
        log_prob = gaussian.log_density(batch.action, mean.unsqueeze(1), policy.sigma)
        surrogate = losses.clipped_surrogate(
            log_prob, batch.old_log_prob, batch.advantage, batch.weight, config.clip_coef, config.clip_high
        )
        loss, value_loss, reference_kl = surrogate.loss, self._not_measured, self._not_measured
        if value is not None and batch.value_target is not None:
            value_loss = losses.value_loss(value, batch.value_target)
            loss = loss + config.vf_coef * value_loss
        with torch.set_grad_enabled(alpha != 0.0):
            entropy = policy.entropy()
        if alpha != 0.0:
            loss = loss - alpha * entropy
        if batch.reference_log_prob is not None:
            leash = losses.reference_kl(log_prob, batch.reference_log_prob, batch.weight)
            loss, reference_kl = loss + config.kl_coef * leash.loss, leash.divergence
        for parameter in (*self._actor, *self._critic):
            parameter.grad = None
        loss.backward()
        norm, critic_norm = self._shorten_gradients()
        kl, clipped = surrogate.approx_kl, surrogate.clip_fraction
        with torch.no_grad():
            terms = torch.stack((surrogate.loss, value_loss, entropy, kl, reference_kl, clipped, norm)).double()
            # The one look at numbers in a step, all at once: on a GPU each look waits for it to catch up.
            looked_at = torch.stack((loss, norm, critic_norm)).tolist()
        if not math.isfinite(looked_at[0]):
            away = "" if batch.reference_log_prob is None else f", divergence from the reference {reference_kl.item()}"
            raise NotFiniteError(
                f"the loss is not finite: policy {surrogate.loss.item()}, value {value_loss.item()}, "
                f"entropy {entropy.item()}{away}"
            )
        if not (math.isfinite(looked_at[1]) and math.isfinite(looked_at[2])):
            raise NotFiniteError(
                f"a gradient is not finite though the loss is: norm {looked_at[1]:.3g} of the actor, "
                f"{looked_at[2]:.3g} of the critic"
            )
        self.optimizer.step()
        return terms

    def _nothing_learned(self, batch: Batch, learning_rate: float) -> LearnerStats:
        """What an update reports that was not made."""
        nothing, unknown = 0.0, float("nan")
        entropy, explained = self.policy.entropy().item(), _explained_variance(batch)
        return LearnerStats(
            policy_loss=nothing,
            value_loss=unknown,
            entropy=entropy,
            approx_kl=nothing,
            reference_kl=unknown,
            clip_fraction=nothing,
            grad_norm=nothing,
            explained_variance=explained,
            learning_rate=learning_rate,
            epochs=0,
            temperature=self.temperature.value,
            gradient_noise_scale=unknown,
        )

    def _shorten_gradients(self) -> tuple[Tensor, Tensor]:
        """Cut the gradients of actor and critic to max_grad_norm, each by itself; returns both norms before, () each.

        While the first pass lasts, the actor's gradient is added to its moments before.
        """
        actor, critic = ([p.grad for p in group if p.grad is not None] for group in (self._actor, self._critic))
        if self._moments is not None:
            self._moments.add(torch.cat([gradient.flatten() for gradient in actor]))
        limit = self.config.max_grad_norm
        return shorten(actor, limit), shorten(critic, limit) if critic else torch.zeros_like(self._not_measured)


@torch.no_grad()
def shorten(gradients: list[Tensor], limit: float) -> Tensor:
    """() length of all gradients together, at least one, which are scaled in place by limit / length where that is
    below 1.

    The same numbers as torch.nn.utils.clip_grad_norm_, without its bookkeeping, which took longer than the arithmetic
    of a small network.
    """
    length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    # by 1 where they are short enough, and where the length is NaN, which is to be reported
    torch._foreach_mul_(gradients, (limit / (length + 1e-6)).clamp_max(1.0).nan_to_num(1.0))
    return length


@torch.no_grad()
def _log_prob_under(reference: ActorCritic, batch: Batch) -> Tensor:
    """(R, M) log density of a batch's actions under another policy and its own normaliser."""
    observation = batch.observation[:, : reference.spec.observation_size]  # what only a critic sees comes behind
    return gaussian.log_density(batch.action, reference.mean(observation).unsqueeze(1), reference.sigma)


def _explained_variance(batch: Batch) -> float:
    """Of V before the update; NaN without critic."""
    if batch.value is None or batch.value_target is None:
        return float("nan")
    return float(losses.explained_variance(batch.value, batch.value_target))


def standardize(advantage: Tensor, weight: Tensor) -> Tensor:
    """Advantages with mean 0 and variance 1 over the samples of weight above 0; the others are left out of both."""
    counts = (weight > 0.0).to(advantage.dtype)
    total = counts.sum().clamp_min(1.0)
    centred = advantage - (advantage * counts).sum() / total
    deviation = ((centred.square() * counts).sum() / total).sqrt()
    # What is left of a constant after subtracting its rounded mean is noise, and must not be blown up to variance 1.
    noise = 8.0 * torch.finfo(advantage.dtype).eps * (advantage * counts).abs().max()
    return torch.where(deviation <= noise, 0.0, centred / deviation)  # NaN passes, to be reported
