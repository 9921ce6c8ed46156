"""Policies from files."""

from __future__ import annotations

import os
from pathlib import Path

import policies
from policies.actor_critic import ActorCritic
from sim2real.policy.onnx_policy import OnnxPolicy


def load(path: str | os.PathLike[str]) -> ActorCritic | OnnxPolicy:
    """Load the policy of a run or an export; `predict` maps numpy observations to actions.

    Args:
        path: A run folder, a checkpoint file, or a file that ends in .onnx.

    Returns:
        A torch module on the CPU, or an `OnnxPolicy` for an .onnx file. Both have `spec` and `predict`.

    Raises:
        CheckpointError, OnnxPolicyError: For a file that is missing, damaged or of another kind.
    """
    return OnnxPolicy(Path(path)) if Path(path).suffix == ".onnx" else policies.load(Path(path))
