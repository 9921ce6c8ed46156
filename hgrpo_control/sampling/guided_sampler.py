"""A sampler whose last siblings start with actions that Q favours (eq. 18)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hgrpo_control.algorithms.guided import guided_count
from hgrpo_control.algorithms.rollout import FinishedEpisodes, Rollout
from hgrpo_control.sampling.proposals import GuidedProposals
from hgrpo_control.sampling.sampler import Sampler


class GuidedSampler(Sampler):
    """Draws the first actions of a root's last floor(N / 2) siblings from proposals.

    `Rollout.weight` holds their importance weights. The executed sample is never guided, so guidance changes no bit of
    the executed trajectory. The proposals are no part of `state_dict`.
    """

    def __init__(self, *sizes: Any, proposals: GuidedProposals, **options: Any) -> None:
        """The arguments are those of `Sampler`, and where guided actions come from."""
        super().__init__(*sizes, **options)
        self.proposals = proposals
        self._weights: list[Tensor] = []  # (E, N) of the first actions of each branch

    def _collect(self) -> tuple[Rollout, FinishedEpisodes]:
        self._weights.clear()
        rollout, finished = super()._collect()
        weight = torch.ones_like(rollout.reward)
        weight[:: self.branch_length] = torch.stack(self._weights)
        return rollout._replace(weight=weight), finished

    def _noise(self, observation: Tensor, mean: Tensor, first: bool) -> Tensor:
        if not first:
            return super()._noise(observation, mean, first)
        guided = guided_count(self.num_samples)
        plain = self.num_samples - guided
        executed = self._normal(mean[:, :1], "executed")
        siblings = self._normal(mean[:, 1:plain], "siblings")
        chosen = self.proposals.draw(observation, mean[:, 0], guided, self.generators["siblings"])
        self._weights.append(torch.cat((chosen.weight.new_ones(self.num_envs, plain), chosen.weight), dim=1))
        return torch.cat((executed, siblings, chosen.noise), dim=1)


def sampler_class(proposals: GuidedProposals | None) -> Callable[..., Sampler]:
    """`Sampler` without proposals; with them a `GuidedSampler`, which takes the same arguments."""
    return Sampler if proposals is None else partial(GuidedSampler, proposals=proposals)
