"""Guided sampling of a training run (eq. 18): proposals and the Q_phi behind them."""

from __future__ import annotations

from typing import Any

from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.guided import action_value_target, effective_sample_size, guided_count
from hgrpo_control.algorithms.rollout import Rollout
from hgrpo_control.config.algorithms import Algorithm, HybridGRPO
from hgrpo_control.config.learning import Learning
from hgrpo_control.ranks.ranks import ALONE, Ranks
from hgrpo_control.sampling.action_value import ActionValueLearner
from hgrpo_control.sampling.proposals import GuidedProposals
from policies.actor_critic import ActorCritic


class Guidance:
    """Guided proposals and the learner of their Q_phi.

    Before the first update no action is preferred.
    """

    def __init__(
        self, policy: ActorCritic, algorithm: HybridGRPO, learning: Learning, seed: int, ranks: Ranks = ALONE
    ) -> None:
        self.algorithm, self.ranks = algorithm, ranks
        self.learner = ActionValueLearner(policy, learning, seed, ranks)
        self.proposals = GuidedProposals(
            policy,
            self.learner.action_value,
            algorithm.guided_candidates,
            algorithm.guidance_temperature,
            algorithm.guidance_max_weight,
        )

    def update(self, rollout: Rollout, batch: Batch, learning_rate: float) -> dict[str, float]:
        """Improve Q on a guided rollout.

        Args:
            rollout: Its reward is already f(R).
            batch: Made from it by the algorithm.
            learning_rate: Of this update.

        Returns the figures of `ActionValueLearner.update` and
            `effective_sample_size`: (sum w)^2 / sum w^2 over the importance weights w of the guided first actions,
            divided by their number; 1 is as good as samples from the policy.

        Raises NotFiniteError, and ValueError for a rollout that was not guided.
        """
        if rollout.weight is None:
            raise ValueError("the rollout was not guided")
        target = action_value_target(rollout, rollout.weight, self.algorithm, self.ranks)
        learned = self.learner.update(batch, target, learning_rate)
        num_samples = rollout.weight.shape[-1]
        guided = rollout.weight[:: rollout.branch_length, :, num_samples - guided_count(num_samples) :]
        return {"effective_sample_size": effective_sample_size(guided, self.ranks), **learned}

    def state_dict(self) -> dict[str, Any]:
        """Q_phi, its optimiser and its generator."""
        return self.learner.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`."""
        self.learner.load_state_dict(saved)


def make(
    policy: ActorCritic, algorithm: Algorithm, learning: Learning, seed: int, ranks: Ranks = ALONE
) -> Guidance | None:
    """The guidance of a run; None where its algorithm has none.

    Args:
        policy: The run's policy.
        algorithm: Its settings say whether samples are guided.
        learning: Settings of Q's updates too.
        seed: Of Q's weights and minibatches.
        ranks: Processes of the run.
    """
    guided = algorithm.guided
    return None if guided is None else Guidance(policy, guided, learning, seed, ranks)
