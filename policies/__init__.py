"""Policies: networks, checkpoints and specs. `policies.load(folder)` gives a policy ready to act.

`policies.spec` imports without torch; the names below that need torch are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from policies.spec import Channel, PolicySpec

_LAZY = {
    "ActorCritic": "policies.actor_critic",
    "CheckpointError": "policies.checkpoint",
    "load": "policies.checkpoint",
    "restore": "policies.checkpoint",
    "save": "policies.checkpoint",
}

__all__ = ["ActorCritic", "Channel", "CheckpointError", "PolicySpec", "load", "restore", "save"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'policies' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
