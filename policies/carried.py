"""A policy that carries its memory from call to call, for flying and judging episodes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hgrpo_errors import HgrpoError
from policies.actor_critic import ActorCritic


class Carried:
    """Deterministic actions of a policy, with or without memory, over the steps of B episodes.

    Args:
        policy: The policy; it is read at every call.
    """

    def __init__(self, policy: ActorCritic) -> None:
        self.policy, self.spec = policy, policy.spec
        self._memory: Tensor | None = None

    def reset(self, rows: Tensor | None = None) -> None:
        """Forget everything, as at the beginning of an episode; only in some of the B rows if `rows` is given.

        `rows` are (k,) int64 indices or a (B,) bool mask, such as the episodes of a vector environment that ended.
        """
        if rows is None:
            self._memory = None
        elif self._memory is not None:
            self._memory[rows] = 0.0

    @torch.no_grad()
    def __call__(self, observation: Tensor) -> Tensor:
        """Action (B, A) in the environment's units for observations (B, O) of the same B episodes as before.

        Raises HgrpoError for another number of episodes without a `reset`.
        """
        width = self.spec.memory_width
        if not width:
            action = self.policy(observation)
            assert isinstance(action, Tensor)
            return action
        memory = observation.new_zeros(len(observation), width) if self._memory is None else self._memory
        if len(memory) != len(observation):
            raise HgrpoError(
                f"{len(observation)} episodes after {len(memory)}; allowed: the same number, or reset() first"
            )
        action, self._memory = self.policy(observation, memory)
        return action

    def predict(self, observation: ArrayLike) -> NDArray[np.float32]:
        """Action (A,) or (B, A) as a numpy array for an observation (O,) or (B, O).

        Raises HgrpoError for another shape, and as calling does.
        """
        given = self.policy.tensor_of(observation)
        action: NDArray[np.float32] = self(given.reshape(-1, given.shape[-1])).cpu().numpy()
        return action[0] if given.ndim == 1 else action
