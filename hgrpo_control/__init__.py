"""How a policy is trained and judged: `hgrpo_control.train(config, out)` is the whole of it in one call."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # robots/__init__.py says why; here because torch may come before it

_LAZY = {
    "Config": "hgrpo_control.config.run",
    "GRPO": "hgrpo_control.config.run",
    "HybridGRPO": "hgrpo_control.config.run",
    "PPO": "hgrpo_control.config.run",
    "evaluate": "hgrpo_control.evaluation.evaluate",
    "preset": "hgrpo_control.presets.quadrotor",
    "resume": "hgrpo_control.training.resuming",
    "train": "hgrpo_control.training.trainer",
}

__all__ = ["GRPO", "PPO", "Config", "HybridGRPO", "evaluate", "preset", "resume", "train"]


def __getattr__(name: str) -> Any:
    # Names are loaded when first used, so that the command line can show its help without loading torch.
    if name not in _LAZY:
        raise AttributeError(f"module 'hgrpo_control' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
