"""How a policy is trained and judged: `hgrpo_control.train(config, out)` is the whole of it in one call."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # robots/__init__.py says why; here because torch may come before it

_LAZY = {
    "Config": "hgrpo_control.config",
    "GRPO": "hgrpo_control.config",
    "HybridGRPO": "hgrpo_control.config",
    "PPO": "hgrpo_control.config",
    "evaluate": "hgrpo_control.evaluation",
    "preset": "hgrpo_control.presets",
    "resume": "hgrpo_control.resuming",
    "train": "hgrpo_control.training",
}

__all__ = ["GRPO", "PPO", "Config", "HybridGRPO", "evaluate", "preset", "resume", "train"]


def __getattr__(name: str) -> Any:
    # Names are loaded when first used, so that the command line can show its help without loading torch.
    if name not in _LAZY:
        raise AttributeError(f"module 'hgrpo_control' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
