"""Slopes and scores mixed, as a reading of one rollout."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hgrpo_control.algorithms import slopes
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.algorithms.slopes import Moments
from hgrpo_control.config.algorithms import Algorithm
from hgrpo_control.config.pathwise import LEAST_DISCOUNT
from robots.simulator import SimulatorSpec


@dataclass(frozen=True)
class Mix:
    """Reads a rollout with slopes as wishes alpha sigma lambda + (1 - alpha) A eps, neither scaled nor cut."""

    score: Callable[[Rollout], Batch]
    """Gives A."""
    sigma: Tensor
    """(A,) of the policy that acts."""
    share: float | Tensor | None
    """alpha: a number, (n, A), or None while it is not chosen yet."""

    def __call__(self, rollout: Rollout) -> Batch:
        """The batch of the score, with wishes."""
        if rollout.slope is None or rollout.noise is None or self.share is None:
            raise ValueError("a mix needs slopes and a share")
        batch, share = self.score(rollout), self.share
        if not isinstance(share, Tensor):
            share = torch.full_like(self.sigma, share).expand(rollout.branch_length, -1)
        advantage = batch.advantage.view_as(rollout.reward)
        wish = slopes.wishes(advantage, rollout.noise, self.sigma * rollout.slope, share)
        return slopes.with_wishes(batch, rollout, wish, self.sigma)

    def with_best_share(self, rollouts: Iterable[Rollout]) -> Mix:
        """The mix whose alpha is `slopes.best_share` of the mean moments of rollouts with slopes."""
        found = [self._moments(rollout) for rollout in rollouts]
        mean = Moments(*(torch.stack(parts).mean(0) for parts in zip(*(m for m, _ in found), strict=True)))
        return replace(self, share=slopes.best_share(mean, found[0][1]))

    def _moments(self, rollout: Rollout) -> tuple[Moments, int]:
        """Moments of a rollout, and N."""
        if rollout.slope is None or rollout.noise is None:
            raise ValueError("the rollout has no slopes")
        score = self.score(rollout).advantage.view_as(rollout.reward).unsqueeze(-1) * rollout.noise
        moments = slopes.sibling_moments(score, self.sigma * rollout.slope, rollout.branch_length)
        return moments, rollout.reward.shape[2]


def slope_obstacle(spec: SimulatorSpec, run: Algorithm, longest: int) -> str:
    """Why slopes cannot be measured, or an empty string.

    Args:
        spec: Of the simulator.
        run: Settings of the run's algorithm.
        longest: Steps of the longest branch.
    """
    if not spec.differentiable:
        return f"the simulator of {spec.name} is not differentiable"
    if run.reward_transform != "identity":
        return f"the reward transform {run.reward_transform} has none"
    if run.gamma**longest < LEAST_DISCOUNT:
        return f"gamma {run.gamma:g} over branches of {longest} steps is below {LEAST_DISCOUNT:g}"
    return ""
