"""Exported policies where a policy is judged: they act on arrays, simulators give tensors."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgrpo_control.evaluation.evaluate import Pilot
from policies.spec import PolicySpec


class ArrayPolicy(Protocol):
    """A policy that acts on arrays, as sim2real.OnnxPolicy and sim2real.CPolicy do."""

    spec: PolicySpec

    def __call__(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Action (B, A) of an observation (B, O)."""
        ...


class Exported:
    """An exported policy as a Pilot."""

    def __init__(self, policy: ArrayPolicy) -> None:
        self.policy, self.spec = policy, policy.spec

    def __call__(self, observation: Tensor) -> Tensor:
        """Action (B, A) of an observation (B, O), both float32."""
        return torch.from_numpy(self.policy(np.ascontiguousarray(observation.numpy(), dtype=np.float32)))


class Noting:
    """A Pilot that notes every observation (B, O) that it is given."""

    def __init__(self, pilot: Pilot) -> None:
        self.pilot, self.spec = pilot, pilot.spec
        self.seen: list[NDArray[np.float32]] = []

    def __call__(self, observation: Tensor) -> Tensor:
        """What the pilot makes of it, (B, A)."""
        self.seen.append(observation.numpy().astype(np.float32))
        return self.pilot(observation)
