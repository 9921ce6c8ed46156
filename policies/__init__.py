"""Policies: networks, checkpoints and specs. `policies.load(folder)` returns a policy that is ready to act.

`import policies` does not load torch. It is loaded when a name that needs it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgrpo_imports import lazy_names
from policies.spec import Channel, PolicySpec

if TYPE_CHECKING:
    from policies.actor_critic import ActorCritic
    from policies.checkpoint import CheckpointError, load, restore, save

_LAZY = {
    "ActorCritic": "policies.actor_critic",
    "CheckpointError": "policies.checkpoint",
    "load": "policies.checkpoint",
    "restore": "policies.checkpoint",
    "save": "policies.checkpoint",
}
__getattr__, __dir__ = lazy_names(__name__, _LAZY)

__all__ = ["ActorCritic", "Channel", "CheckpointError", "PolicySpec", "load", "restore", "save"]
