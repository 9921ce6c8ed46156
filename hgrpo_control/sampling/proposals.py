"""Guided sampling: proposals that Q favours, weighted back to the policy (eq. 18).

Eq. 18 asks for a^(t) ~ arg max_a [Q_phi(s_T, a) + beta log pi(a|s_T)]. Taken literally the arg max is one action, and N
samples of it are N equal actions. The trade-off between Q and pi has a distribution as its answer:

    E_q[Q] - beta KL(q || pi) = beta log Z - beta KL(q || pi exp(Q / beta) / Z), with Z = E_pi[exp(Q / beta)],

and KL >= 0 vanishes only between equals, so it is largest for q = pi exp(Q / beta) / Z. Resampling M draws of pi with
probability p = softmax(Q / beta) draws from q as M grows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hgrpo_control.algorithms.rollout import NotFiniteError
from hgrpo_control.sampling.action_value import ActionValue
from policies.actor_critic import ActorCritic


class Resampled(NamedTuple):
    """Which candidates of each root were chosen."""

    candidate: Tensor
    """(E, K) int64 which candidate."""
    weight: Tensor
    """(E, K) importance weights."""


class Proposal(NamedTuple):
    """First actions of the last K of a root's N samples."""

    noise: Tensor
    """(E, K, A) (a - mean) / sigma of the chosen candidates."""
    weight: Tensor
    """(E, K) importance weights."""


def importance_weights(score: Tensor) -> Tensor:
    """w = (1 / M) / p with p = softmax(score), for M candidates.

    `score` is Q / beta (..., M). The weights are exactly 1 where all scores are equal. Under p the mean of w f is the
    mean of f over the candidates, so an expectation under pi of any f(s, a) is estimated without bias, whatever Q is.
    """
    share = (score - score.amax(-1, keepdim=True)).exp()
    return share.mean(-1, keepdim=True) / share


def resample(score: Tensor, count: int, max_weight: float, generator: torch.Generator) -> Resampled:
    """Choose from M candidates with replacement, with probability softmax(score).

    Args:
        score: (E, M) Q / beta.
        count: K candidates chosen per root.
        max_weight: Bound on the weights of `importance_weights`. It bounds their variance and biases what is averaged
            with them: a candidate with p below 1 / (max_weight M), which Q disfavours, counts for less than its share.
        generator: Of the random numbers.
    """
    share = (score - score.amax(-1, keepdim=True)).exp()
    candidate = torch.multinomial(share, count, replacement=True, generator=generator)
    return Resampled(candidate, importance_weights(score).gather(-1, candidate).clamp_max(max_weight))


class GuidedProposals:
    """Draws the guided siblings' first actions from M candidates by Q_phi."""

    def __init__(
        self, policy: ActorCritic, action_value: ActionValue, candidates: int, temperature: float, max_weight: float
    ) -> None:
        self.policy, self.action_value = policy, action_value
        self.candidates, self.temperature, self.max_weight = candidates, temperature, max_weight

    @torch.no_grad()
    def draw(self, observation: Tensor, mean: Tensor, count: int, generator: torch.Generator) -> Proposal:
        """Guided first actions of each root.

        Args:
            observation: (E, O), or (E, O + P) with what only the critic sees.
            mean: (E, A) of the policy there.
            count: K actions per root.
            generator: Of the random numbers.

        Raises NotFiniteError if Q is not finite.
        """
        roots, size = mean.shape
        noise = torch.randn(roots, self.candidates, size, generator=generator, dtype=mean.dtype, device=mean.device)
        action = mean.unsqueeze(1) + self.policy.sigma * noise
        features = self.policy.critic_features(observation).unsqueeze(1).expand(-1, self.candidates, -1)
        value = self.action_value(features, action)
        if not bool(torch.isfinite(value).all()):
            raise NotFiniteError(f"{int((~torch.isfinite(value)).sum())} values of Q are not finite")
        chosen = resample(value / self.temperature, count, self.max_weight, generator)
        return Proposal(noise.gather(1, chosen.candidate.unsqueeze(-1).expand(-1, -1, size)), chosen.weight)
