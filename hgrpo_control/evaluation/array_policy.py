"""Policies on arrays, such as exported ones, where tensors are expected; a record of observations."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgrpo_control.evaluation.evaluate import Policy, Resets
from policies.spec import PolicySpec


class ActsOnArrays(Protocol):
    """A policy on numpy arrays, such as sim2real.OnnxPolicy and sim2real.CPolicy."""

    spec: PolicySpec

    def __call__(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Action (B, A) for an observation (B, O)."""
        ...


class ArrayPolicy:
    """A policy on arrays as a `Policy` on tensors."""

    def __init__(self, policy: ActsOnArrays) -> None:
        self.policy, self.spec = policy, policy.spec

    def __call__(self, observation: Tensor) -> Tensor:
        """Action (B, A) for an observation (B, O), both float32."""
        return torch.from_numpy(self.policy(np.ascontiguousarray(observation.numpy(), dtype=np.float32)))

    def reset(self) -> None:
        """Forget what was observed."""
        if isinstance(self.policy, Resets):
            self.policy.reset()


class ObservationLog:
    """A policy that keeps every observation (B, O) that it acts on."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.spec = policy, policy.spec
        self.observations: list[NDArray[np.float32]] = []

    def __call__(self, observation: Tensor) -> Tensor:
        """Action (B, A) of the policy."""
        self.observations.append(observation.numpy().astype(np.float32))
        return self.policy(observation)

    def reset(self) -> None:
        """Forget what was observed; the record stays."""
        if isinstance(self.policy, Resets):
            self.policy.reset()
