"""The frozen reference policy of a KL penalty; the run's checkpoints keep it."""

from __future__ import annotations

from typing import Any

import torch

from hgrpo_control.config.run import ConfigError
from policies import checkpoint
from policies.actor_critic import ActorCritic
from policies.spec import Channel, PolicySpec


def load(path: str, spec: PolicySpec, device: torch.device | None = None) -> ActorCritic:
    """The frozen policy of a run folder or checkpoint file.

    Its networks may have another shape than those of the run.

    Args:
        path: Run folder or checkpoint file.
        spec: That of the run's own policy.
        device: Where the policy is placed; None is the CPU.

    Raises CheckpointError if there is none, ConfigError if it was made for another task, observation, action or bounds.
    """
    policy = checkpoint.load(path)
    if policy.spec.memory != "none":
        raise ConfigError(f"the reference {path} has memory {policy.spec.memory}; allowed: a policy without memory")
    _require_same_interface(path, policy.spec, spec)
    return policy.to(device).requires_grad_(False)


def to_state(policy: ActorCritic) -> dict[str, Any]:
    """State for a checkpoint: a resumed run does not need the reference's own folder."""
    return {"spec": policy.spec.to_json(), "policy": policy.state_dict()}


def from_state(saved: dict[str, Any], device: torch.device | None = None) -> ActorCritic:
    """The inverse of `to_state`, bit for bit, on a device."""
    spec = PolicySpec.from_json(saved["spec"])
    policy = ActorCritic(spec, init_sigma=2.0 * spec.min_sigma)  # overwritten by the next line
    policy.load_state_dict(saved["policy"])
    return policy.to(device).requires_grad_(False)


def _require_same_interface(path: str, theirs: PolicySpec, ours: PolicySpec) -> None:
    """Raise ConfigError unless both policies read and write the same entries, within the same bounds."""
    if theirs.task != ours.task:
        raise ConfigError(f"the reference {path} was trained for {theirs.task!r}; this run trains {ours.task!r}")
    _require_same_entries(f"the reference {path} reads", theirs.observation, ours.observation)
    _require_same_entries(f"the reference {path} commands", theirs.action, ours.action)
    bounds = [(spec.action_low, spec.action_high) for spec in (theirs, ours)]
    if bounds[0] != bounds[1]:
        raise ConfigError(f"the reference {path} commands actions in {bounds[0]}; this run's bounds are {bounds[1]}")


def _require_same_entries(what: str, theirs: tuple[Channel, ...], ours: tuple[Channel, ...]) -> None:
    if len(theirs) != len(ours):
        raise ConfigError(f"{what} {len(theirs)} entries; the policy of this run has {len(ours)}")
    for index, (one, other) in enumerate(zip(theirs, ours, strict=True)):
        if one != other:
            raise ConfigError(f"{what} {_described(one)} as entry {index}; here it is {_described(other)}")


def _described(entry: Channel) -> str:
    frame = f", {entry.frame} frame" if entry.frame else ""
    return f"{entry.name!r} [{entry.unit}{frame}]"
