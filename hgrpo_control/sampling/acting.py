"""Actions of a policy for the samples of all roots, and the memory after them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hgrpo_control.algorithms.rollout import Drawn
from policies.actor_critic import ActorCritic
from policies.gaussian import standard_log_density


class Acting:
    """A policy with the statistics and sigma of the moment; neither changes within a rollout."""

    def __init__(self, policy: ActorCritic) -> None:
        self.policy, self._act, self._sigma = policy, policy.acting(), policy.sigma
        self._log_sigma = self._sigma.log().sum()

    def rows(self, observation: Tensor, memory: Tensor) -> Tensor:
        """Rows (B, O + M) that the policy reads: observations (B, O), and the memory of their B or E N episodes."""
        if not self.policy.memory_width:
            return observation
        return torch.cat((observation, memory[:: len(memory) // len(observation)]), dim=1)

    def draw(
        self, rows: Tensor, num_envs: int, num_samples: int, noise_of: Callable[[Tensor, Tensor], Tensor]
    ) -> Drawn:
        """Actions of N samples of E roots.

        Args:
            rows: (E, O + M) where the siblings of a root share it, else (E N, O + M).
            num_envs: E.
            num_samples: N.
            noise_of: (action - mean) / sigma (E, N, A) from the rows of the executed samples (E, O + M) and the means.
        """
        grouped = rows.reshape(num_envs, -1, rows.shape[-1])
        # The executed sample has a batch of its own: the bits of a matrix product depend on its number of rows.
        mean, states = (part.unsqueeze(1) for part in self._act(grouped[:, 0].contiguous()))
        if grouped.shape[1] > 1:
            others = (part.unflatten(0, (num_envs, -1)) for part in self._act(grouped[:, 1:].flatten(0, 1)))
            mean, states = (torch.cat(parts, dim=1) for parts in zip((mean, states), others, strict=True))
        noise = noise_of(grouped[:, 0], mean.expand(-1, num_samples, -1))
        log_prob = standard_log_density(noise) - self._log_sigma
        action = mean + self._sigma * noise
        if not self.policy.memory_width:
            return Drawn(action, log_prob, noise)
        seen, states = (part.expand(-1, num_samples, -1) for part in (grouped, states))
        return Drawn(action, log_prob, noise, self.policy.carry(seen, states, action).flatten(0, 1))
