"""The learner: epochs of shuffled minibatches over a batch of any algorithm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hgrpo_control.algorithms import losses
from hgrpo_control.algorithms.batch import Batch, minibatches_of
from hgrpo_control.algorithms.rollout import NotFiniteError
from hgrpo_control.config.learning import Learning
from hgrpo_control.learning.adam import Adam, clip_gradients
from hgrpo_control.learning.gradient_noise import GradientMoments
from hgrpo_control.learning.loss_gradient import LossGradient, LossTerms
from hgrpo_control.learning.sequences import refreshed
from hgrpo_control.learning.temperature import Temperature, gaussian_entropy
from hgrpo_control.ranks.ranks import ALONE, Ranks
from policies import gaussian
from policies.actor_critic import ActorCritic

_TERMS = ("policy_loss", "value_loss", "entropy", "approx_kl", "reference_kl", "clip_fraction", "grad_norm")


class Learner:
    """Adam on the losses of a batch.

    The loss is policy loss + vf_coef value loss - alpha entropy (eq. 15) + kl_coef KL(policy || reference). The
    gradients of actor and critic are each clipped to max_grad_norm. With several processes each has a batch of its own,
    all of the same size, and the gradient is that of all rows.
    """

    def __init__(
        self,
        policy: ActorCritic,
        config: Learning,
        seed: int,
        reference: ActorCritic | None = None,
        sequence_steps: int = 1,
        ranks: Ranks = ALONE,
    ) -> None:
        self.policy, self.config, self.reference, self.ranks = policy, config, reference, ranks
        self.sequence_steps = sequence_steps
        actor = [policy.raw_sigma, *policy.actor.parameters()]
        critic = [] if policy.critic is None else list(policy.critic.parameters())
        self.optimizer = Adam([*actor, *critic], terms=len(LossTerms._fields))
        self._gradient = LossGradient(policy, config)
        # The networks share nothing, so a critic far from its targets must not reduce the policy's step.
        size = sum(parameter.numel() for parameter in actor)
        gradient = self.optimizer.gradient
        self._gradients = [gradient[:size], gradient[size:]] if critic else [gradient]
        self.generator = torch.Generator(policy.device).manual_seed(seed)
        sigma, size = config.target_sigma, policy.spec.action_size
        target = None if sigma is None else gaussian_entropy(sigma, size)
        self.temperature = Temperature(config.ent_coef, target, config.ent_learning_rate)
        self._moments: GradientMoments | None = None  # of the first pass, while it lasts

    def update(self, batch: Batch, progress: float = 0.0) -> dict[str, float]:
        """Improve the policy on a batch.

        A batch without any sample of weight above 0 changes nothing, the optimiser's moments included.

        Args:
            batch: Samples, advantages and targets.
            progress: Share of the run that has passed, in [0, 1].

        Returns figures of the update, the first seven as means over its minibatches:
            `policy_loss`, `entropy`, `approx_kl` (from the policy before the update), `clip_fraction`.
            `value_loss`: NaN without critic.
            `reference_kl`: KL(policy || reference policy); NaN without one.
            `grad_norm`: of the actor, before it is clipped.
            `explained_variance`: of V before the update; NaN without critic.
            `learning_rate`.
            `epochs`: passes made; fewer than `update_epochs` where the KL stop ended the update.
            `sigma`: mean standard deviation of the policy after the update, in normalised action units.
            `temperature`: alpha of eq. 15 after the update.
            `gradient_noise_scale`: in samples of weight above 0, from the actor's gradients of the first pass before
            they are clipped. The policy moves a little from one minibatch to the next, which counts as noise.

        Raises NotFiniteError before any parameter is touched by a loss or gradient that is not finite.
        """
        config = self.config
        share = 1.0 - progress if config.lr_schedule == "linear" else 1.0
        learning_rate = config.learning_rate * share
        if not self.ranks.any(batch.weight.any()):
            nothing = (0.0, math.nan, self.policy.entropy().item(), 0.0, math.nan, 0.0, 0.0)
            return self._figures(batch, nothing, learning_rate, 0, math.nan)
        if config.normalize_advantage and batch.wish is None:
            batch = batch._replace(advantage=standardize(batch.advantage, batch.weight, self.ranks))
        if self.reference is not None:
            batch = batch._replace(reference_log_prob=_log_prob_under(self.reference, batch))
        rows = batch.observation.shape[0]
        shuffled = batch._replace(value=None)
        totals = torch.zeros(7, dtype=torch.float64, device=self.policy.device)
        epochs = minibatches = 0
        moments = self._moments = GradientMoments()
        for _ in range(config.update_epochs):
            if epochs and config.burn_in:
                shuffled = refreshed(shuffled, self.policy, self.sequence_steps, config.burn_in)
            order = self._order(rows)
            epoch_kl = torch.zeros((), dtype=torch.float64, device=self.policy.device)
            first = minibatches
            for minibatch in minibatches_of(shuffled, order, config.num_minibatches):
                features = self.policy.critic_features(minibatch.observation)
                if minibatch.restart is not None:
                    minibatch.restart[:: self.sequence_steps] = True
                terms = self._step(minibatch._replace(observation=features), learning_rate)
                totals += terms
                epoch_kl += terms[3]
                if config.target_sigma is not None:
                    self.temperature.update(terms[2].item(), share)
                minibatches += 1
            epochs += 1
            self._moments = None
            if config.target_kl is not None and epoch_kl / (minibatches - first) > config.target_kl:
                break
        means = (totals / minibatches).tolist()
        noise_scale = moments.noise_scale(int(self.ranks.sum((batch.weight > 0.0).sum())) / config.num_minibatches)
        return self._figures(batch, means, learning_rate, epochs, noise_scale)

    def state_dict(self) -> dict[str, Any]:
        """Optimiser moments, the shuffling generator, and the temperature if it is adapted."""
        state = {"optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state()}
        return state | ({"temperature": self.temperature.state_dict()} if self.config.target_sigma is not None else {})

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`."""
        self.optimizer.load_state_dict(saved["optimizer"])
        self.generator.set_state(saved["generator"])
        if self.config.target_sigma is not None:
            self.temperature.load_state_dict(saved["temperature"])

    def _order(self, rows: int) -> Tensor:
        """(R,) int64 random order of the sequences of a batch of R rows."""
        steps = self.sequence_steps
        order = torch.randperm(rows // steps, generator=self.generator, device=self.policy.device)
        if steps == 1:
            return order
        return (order.unsqueeze(1) * steps + torch.arange(steps, device=order.device)).flatten()

    def _step(self, batch: Batch, learning_rate: float) -> Tensor:
        """One gradient step on a batch that holds features for observations.

        Returns the values of _TERMS (7,).
        """
        self.optimizer.gradient.zero_()
        terms = self._gradient.add(batch, self.temperature.value)
        if self.ranks.size > 1:
            self.optimizer.terms.copy_(torch.stack(terms))
            self.ranks.average_(self.optimizer.message)
            terms = LossTerms(*self.optimizer.terms.clone().unbind())
        if self._moments is not None:
            self._moments.add(self._gradients[0])
        norms = clip_gradients(self._gradients, self.config.max_grad_norm)
        # The only read of numbers in a step: each read waits until the GPU has finished.
        read = torch.cat((terms.loss.reshape(1), norms)).tolist()
        if not math.isfinite(read[0]):
            away = "" if batch.reference_log_prob is None else f", divergence from the reference {terms.reference_kl}"
            raise NotFiniteError(
                f"the loss is not finite: policy {terms.policy_loss}, value {terms.value_loss}, "
                f"entropy {terms.entropy}{away}"
            )
        if not all(map(math.isfinite, read)):
            raise NotFiniteError(
                f"a gradient is not finite, although the loss is: norm {read[1]:.3g} of the actor"
                + "".join(f", {norm:.3g} of the critic" for norm in read[2:])
            )
        self.optimizer.step(learning_rate)
        return torch.stack((*terms[1:], norms[0])).double()

    def _figures(
        self, batch: Batch, means: Sequence[float], learning_rate: float, epochs: int, noise_scale: float
    ) -> dict[str, float]:
        """What `update` returns; `means` are those of the terms of `_step`."""
        return dict(zip(_TERMS, means, strict=True)) | {
            "explained_variance": self._explained_variance(batch),
            "learning_rate": learning_rate,
            "epochs": epochs,
            "sigma": self.policy.sigma.mean().item(),
            "temperature": self.temperature.value,
            "gradient_noise_scale": noise_scale,
        }

    def _explained_variance(self, batch: Batch) -> float:
        """Explained variance of V before the update; NaN without critic."""
        if batch.value is None or batch.value_target is None:
            return float("nan")
        return float(losses.explained_variance(batch.value, batch.value_target, self.ranks))


@torch.no_grad()
def _log_prob_under(reference: ActorCritic, batch: Batch) -> Tensor:
    """(R, M) log density of a batch's actions under another policy and its own normaliser."""
    observation = batch.observation[:, : reference.spec.observation_size]  # what only the critic sees is behind it
    return gaussian.log_density(batch.action, reference.mean(observation).unsqueeze(1), reference.sigma)


def standardize(advantage: Tensor, weight: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Advantages with mean 0 and variance 1 over the samples of weight above 0 of all processes.

    The other samples do not count for mean and variance.
    """
    counts = (weight > 0.0).to(advantage.dtype)
    total = ranks.sum(counts.sum()).clamp_min(1.0)
    centred = advantage - ranks.sum((advantage * counts).sum()) / total
    deviation = (ranks.sum((centred.square() * counts).sum()) / total).sqrt()
    # A constant less its rounded mean is rounding noise, which must not be scaled to variance 1.
    noise = 8.0 * torch.finfo(advantage.dtype).eps * ranks.max((advantage * counts).abs().max())
    return torch.where(deviation <= noise, 0.0, centred / deviation)  # NaN passes; the caller reports it
