"""From a rollout with slopes to the wishes that the learner follows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hgrpo_control.algorithms import slopes
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.algorithms.slopes import Moments
from hgrpo_control.config.algorithms import Algorithm
from hgrpo_control.ranks.ranks import ALONE, Ranks

LONGEST = 3.0
"""Longest wish, in mean lengths: unstable flights have slopes that are many powers of ten above the others'."""
_NEW = 0.1  # weight of an update in the running moments


def _running(old: Moments, new: Moments) -> Moments:
    """Moments that follow the newest; a variance beyond the largest float counts as unseen, lest it stay for ever."""
    return Moments(*(
        torch.where(x.isfinite(), torch.where(y.isfinite(), torch.lerp(x, y, _NEW), x), y)
        for x, y in zip(old, new, strict=True)
    ))  # fmt: skip


class Wishes:
    """Mixes slopes and scores; the moments behind `auto` run over updates.

    Args:
        algorithm: Its settings name the share of slopes.
        ranks: Processes whose roots count in means and moments.
    """

    def __init__(self, algorithm: Algorithm, ranks: Ranks = ALONE) -> None:
        self.algorithm, self.ranks = algorithm, ranks
        self.moments: Moments | None = None

    def add(self, batch: Batch, rollout: Rollout, sigma: Tensor) -> tuple[Batch, dict[str, float]]:
        """A batch with wishes.

        Args:
            batch: Made from the rollout by the algorithm.
            rollout: With slopes.
            sigma: (A,) of the policy that acted.

        Returns the batch, and figures that are means over the steps of a branch and the entries of an action:
            `pathwise_share`: alpha, the share of slopes in the policy gradient.
            `score_variance`, `slope_variance`: between siblings, in units of the return.
            `slope_bias`: squared difference of score and slope beyond its variance; below 0 by chance.
        """
        if rollout.slope is None or rollout.noise is None:
            raise ValueError("the rollout has no slopes")
        advantage = (batch.advantage - self.ranks.mean(batch.advantage.mean())).view_as(rollout.reward)
        slope = sigma * rollout.slope
        new = slopes.sibling_moments(advantage.unsqueeze(-1) * rollout.noise, slope, rollout.branch_length, self.ranks)
        self.moments = new if self.moments is None else _running(self.moments, new)
        fixed = self.algorithm.fixed_share
        if fixed is None:
            share = slopes.best_share(self.moments, rollout.reward.shape[2])
        else:
            share = torch.full_like(new.score, fixed)
        wish = slopes.scaled(slopes.wishes(advantage, rollout.noise, slope, share), LONGEST, self.ranks)
        figures = {
            "pathwise_share": share.mean().item(),
            "score_variance": self.moments.score.mean().item(),
            "slope_variance": self.moments.slope.mean().item(),
            "slope_bias": self.moments.bias.mean().item(),
        }
        return slopes.with_wishes(batch, rollout, wish, sigma), figures

    def state_dict(self) -> dict[str, Any]:
        """The running moments; empty before the first update."""
        return {} if self.moments is None else dict(self.moments._asdict())

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`."""
        self.moments = Moments(**saved) if saved else None
