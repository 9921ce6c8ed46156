"""What a training run holds for guided sampling (eq. 18): proposals, and the Q_phi behind them as it learns."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.importance import effective_sample_size, guided_count
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import Algorithm
from hgrpo_control.config.guidance import GuidanceSettings
from hgrpo_control.config.learning import Learning
from hgrpo_control.sampling.action_value import ActionValueLearner
from hgrpo_control.sampling.proposals import GuidedProposals
from policies.actor_critic import ActorCritic


class GuidanceStats(NamedTuple):
    """Metrics of guided sampling; NaN where it is off."""

    effective_sample_size: float = math.nan
    """Of the guided first actions of the rollout, with the weights that enter the loss, as a share of their number."""
    guidance_loss: float = math.nan
    guidance_explained_variance: float = math.nan
    """See ActionValueStats for both."""


class Guidance:
    """Guided proposals and the learner of the Q_phi that guides them; before the first update nothing is preferred."""

    def __init__(self, policy: ActorCritic, settings: GuidanceSettings, learning: Learning, seed: int) -> None:
        self.learner = ActionValueLearner(policy, learning, seed)
        self.proposals = GuidedProposals(
            policy,
            self.learner.action_value,
            settings.guided_candidates,
            settings.guidance_temperature,
            settings.guidance_max_weight,
        )

    def update(self, rollout: Rollout, batch: Batch, learning_rate: float) -> GuidanceStats:
        """Improve Q on the batch of a guided rollout; raises NotFiniteError, ValueError if it was not guided."""
        if rollout.importance is None:
            raise ValueError("the rollout was not guided")
        learned = self.learner.update(batch, learning_rate)
        num_samples = rollout.importance.shape[-1]
        weight = rollout.importance[:: rollout.branch_length, :, num_samples - guided_count(num_samples) :]
        return GuidanceStats(effective_sample_size(weight), learned.loss, learned.explained_variance)

    def state_dict(self) -> dict[str, Any]:
        """Q_phi, its optimiser and its generator; candidates come from the sampler's."""
        return self.learner.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on exactly where the guidance that gave this `state_dict` stood."""
        self.learner.load_state_dict(saved)


def make(policy: ActorCritic, algorithm: Algorithm, learning: Learning, seed: int) -> Guidance | None:
    """The guidance that an algorithm's settings ask for; None if they ask for none."""
    settings = algorithm.guidance
    return None if settings is None else Guidance(policy, settings, learning, seed)
