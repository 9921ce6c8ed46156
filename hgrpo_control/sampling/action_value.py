"""Q_phi, the action value that guides siblings; no exported policy contains it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from hgrpo_control.algorithms import losses
from hgrpo_control.algorithms.batch import Batch
from hgrpo_control.algorithms.rollout import NotFiniteError
from hgrpo_control.config.learning import Learning
from hgrpo_control.learning.adam import Adam, clip_gradients
from hgrpo_control.ranks.ranks import ALONE, Ranks
from policies.actor_critic import ActorCritic
from policies.network import network
from policies.spec import PolicySpec


class ActionValue(nn.Module):
    """Q_phi(s, a) - V(s): an MLP of the critic's shape on observation and action.

    V is left to the critic. It is the same for all actions of a state, so a softmax over them does not depend on it,
    and it varies far more than what the network has to learn. The output layer starts at zero: before the first update
    Q is V, and all actions are equal.
    """

    def __init__(self, spec: PolicySpec, generator: torch.Generator | None = None) -> None:
        super().__init__()
        inputs = spec.observation_size + spec.privileged_size + spec.action_size
        self.network = network(spec, inputs, 1, output_gain=0.0, recurrent=False, generator=generator)

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        """Q - V (...) of critic features (..., O) or (..., O + P) and normalised actions (..., A).

        Actions are clipped to [-1, 1] first, as the environment does it: beyond the bounds nothing can change.
        """
        return self.network(torch.cat((features, action.clamp(-1.0, 1.0)), dim=-1)).squeeze(-1)


class ActionValueLearner:
    """Adam on half the mean squared error of Q_phi, over passes of shuffled minibatches."""

    def __init__(self, policy: ActorCritic, config: Learning, seed: int, ranks: Ranks = ALONE) -> None:
        self.policy, self.config, self.ranks = policy, config, ranks
        self.generator = torch.Generator(policy.device).manual_seed(seed)
        self.action_value = ActionValue(policy.spec, self.generator)
        self.optimizer = Adam(self.action_value.parameters(), terms=1)

    def update(self, batch: Batch, target: Tensor, learning_rate: float) -> dict[str, float]:
        """Regress Q on a target for every sample of every row.

        Args:
            batch: Must hold values.
            target: (R, M) of Q.
            learning_rate: Of this update.

        Returns
            `guidance_loss`: half the mean squared error of Q, mean over the minibatches.
            `guidance_explained_variance`: share of the variance of target - V that Q - V explains, each sample
            predicted before it is first learned from.

        Raises NotFiniteError before any parameter is touched by a loss that is not finite, ValueError for a batch
        without values.
        """
        if batch.value is None:
            raise ValueError("Q needs a batch with values")
        with torch.no_grad():
            features = self.policy.critic_features(batch.observation)
        advantage = target - batch.value.unsqueeze(-1)
        total, minibatches = 0.0, 0
        judged: list[tuple[Tensor, Tensor]] = []
        for epoch in range(self.config.update_epochs):
            order = torch.randperm(len(features), generator=self.generator, device=features.device)
            for rows in order.chunk(self.config.num_minibatches):
                wanted = advantage.index_select(0, rows)
                loss, predicted = self._step(
                    features.index_select(0, rows), batch.action.index_select(0, rows), wanted, learning_rate
                )
                total += loss
                minibatches += 1
                if epoch == 0:
                    judged.append((predicted.flatten(), wanted.flatten()))
        predicted, wanted = (torch.cat(parts) for parts in zip(*judged, strict=True))
        explained = losses.explained_variance(predicted, wanted, self.ranks)
        return {"guidance_loss": total / minibatches, "guidance_explained_variance": explained.item()}

    def state_dict(self) -> dict[str, Any]:
        """Network, optimiser moments and the shuffling generator."""
        return {
            "network": self.action_value.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue exactly from a `state_dict`."""
        self.action_value.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.generator.set_state(saved["generator"])

    def _step(self, features: Tensor, action: Tensor, advantage: Tensor, learning_rate: float) -> tuple[float, Tensor]:
        """One gradient step on R rows of M samples.

        Returns the loss and the prediction (R, M) before the step.
        """
        predicted = self.action_value(features.unsqueeze(1).expand(-1, action.shape[1], -1), action)
        loss = losses.value_loss(predicted.flatten(), advantage.flatten())
        self.optimizer.gradient.zero_()
        loss.backward()
        self.optimizer.terms[0] = loss.detach()
        self.ranks.average_(self.optimizer.message)
        shown = self.optimizer.terms.item()
        if not math.isfinite(shown):
            raise NotFiniteError(f"the loss of Q is not finite: {shown}")
        clip_gradients([self.optimizer.gradient], self.config.max_grad_norm)
        self.optimizer.step(learning_rate)
        return shown, predicted.detach()
