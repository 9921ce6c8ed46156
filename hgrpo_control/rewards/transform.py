"""The base class of reward transforms: f(R), fixed within a rollout, adapted between rollouts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from hgrpo_control.ranks.ranks import ALONE, Ranks


class RewardTransform(ABC):
    """f(R) of eq. 12 with the statistics it may depend on.

    Calling it transforms a rollout. Every sample of the rollout is transformed by the same function, which does not
    depend on the rollout's actions; after that, the executed sample updates the statistics. The siblings never count:
    they would give one instant N votes. The first rollout, before which there are no statistics, is the exception: it
    is transformed by the statistics of its own executed steps.
    """

    @property
    def ready(self) -> bool:
        """Whether f is defined; false before the first update of a transform with statistics."""
        return True

    @property
    def learns(self) -> bool:
        """Whether `update` has an effect."""
        return True

    def __call__(self, reward: Tensor, done: Tensor, ranks: Ranks = ALONE) -> Tensor:
        """f(R) (T, E, N) of a rollout's raw rewards and ends of episodes, both (T, E, N).

        Sample 0 is the executed one. The statistics are updated by the executed steps of all processes, which are then
        equal in all of them.
        """
        executed = reward[..., 0], done[..., 0]
        if ranks.size > 1 and self.learns:
            executed = torch.cat(ranks.gathered(executed[0]), dim=1), torch.cat(ranks.gathered(executed[1]), dim=1)
        if not self.ready:
            self.update(*executed)
            return self.apply(reward)
        transformed = self.apply(reward)
        self.update(*executed)
        return transformed

    @abstractmethod
    def apply(self, reward: Tensor) -> Tensor:
        """f(R) element by element, by the statistics as they are."""

    def update(self, reward: Tensor, done: Tensor) -> None:  # noqa: B027  (most transforms have nothing to learn)
        """Update the statistics by the next executed steps: raw rewards and ends of episodes (T, E)."""

    def state_dict(self) -> dict[str, Any]:
        """The statistics, as containers of tensors and numbers."""
        return {}

    def load_state_dict(self, saved: dict[str, Any]) -> None:  # noqa: B027  (the same)
        """Continue exactly from a `state_dict`."""
