"""RAPTOR's published policy (Eschmann, Albani and Loianno, 2025; pip package foundation-policy)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hgrpo_errors import HgrpoError


class Raptor:
    """RAPTOR on observations of `observation=raptor`.

    Raises:
        HgrpoError: The package is not installed.
    """

    def __init__(self) -> None:
        try:
            import foundation_policy
        except ImportError as error:
            raise HgrpoError("RAPTOR is not installed: pip install foundation-policy==1.0.1") from error
        self._policy = foundation_policy.Raptor()

    def reset(self) -> None:
        """Forget everything."""
        self._policy.reset()

    def __call__(self, observation: Tensor) -> Tensor:
        """Motor commands (B, 4) in [-1, 1]; the simulator clips them."""
        return torch.from_numpy(np.asarray(self._policy.evaluate_step(observation.numpy()), dtype=np.float32))
