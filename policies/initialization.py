"""Layers of a trained policy as the beginning of another one's training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hgrpo_errors import HgrpoError
from policies import checkpoint
from policies.actor_critic import ActorCritic
from policies.normalizer import ObservationNormalizer
from policies.spec import Channel, PolicySpec
from policies.zoo import PREFIX


def load_source(source: str) -> ActorCritic:
    """The policy of a run folder, a checkpoint or zoo:NAME; raises HgrpoError without one."""
    if source.startswith(PREFIX):
        from policies.zoo.weights import load

        return load(source.removeprefix(PREFIX))
    return checkpoint.load(source)


@torch.no_grad()
def begin_with(policy: ActorCritic, source: str) -> tuple[str, ...]:
    """Copy the layers of a source into a policy, up to the first that does not fit.

    The inputs of the first layer are matched by name, unit and frame, together with their statistics. An input that
    only the source has counts as its mean, and one that only the policy has starts with weights 0. So the actor begins
    with the actions that the source takes on the inputs that both have. The critic is copied for the same task alone,
    because its values are those of one reward. Sigma stays as it is.

    Args:
        policy: A policy that has not been trained; it is changed.
        source: Run folder, checkpoint or zoo:NAME.

    Returns:
        One line for each part that was not copied.

    Raises HgrpoError if there is no source, or if its first layer does not fit.
    """
    theirs = load_source(source).to(policy.device)
    ours, spec = policy.spec, theirs.spec
    missing, added = _only(spec.observation, ours.observation), _only(ours.observation, spec.observation)
    same_inputs = spec.observation == ours.observation
    problem = _first_layer_problem(spec, ours, same_inputs)
    if problem is not None:
        raise HgrpoError(f"nothing of {source} fits this run: {problem}")
    lines = [f"the source does not observe {_listed(added)}"] if added else []
    lines += [f"this run does not observe {_listed(missing)}, which counts as its mean"] if missing else []
    # An action of other bounds is another one in normalised units.
    same_action = (spec.action, spec.action_low, spec.action_high) == (ours.action, ours.action_low, ours.action_high)
    lines += _copy(theirs.actor, policy.actor, "actor", None if same_action else "it commands other actions or bounds")
    if same_inputs:
        policy.normalizer.load_state_dict(theirs.normalizer.state_dict())
    else:
        _match_inputs(theirs, policy)
    if policy.critic is not None:
        lines += _copy_critic(theirs, policy, source)
    return tuple(f"--init {source}: {line}" for line in lines)


def _first_layer_problem(theirs: PolicySpec, ours: PolicySpec, same_inputs: bool) -> str | None:
    """Why the first layer of an actor cannot be copied; None if it can."""
    if theirs.activation != ours.activation:
        return f"activation {theirs.activation} there, {ours.activation} here"
    if theirs.hidden_sizes[:1] != ours.hidden_sizes[:1] or not ours.hidden_sizes:
        return f"hidden_sizes {theirs.hidden_sizes} there, {ours.hidden_sizes} here"
    if not set(theirs.observation) & set(ours.observation):
        return "the policies observe nothing in common"
    histories = [spec.memory_size if spec.memory == "history" else 0 for spec in (theirs, ours)]
    if histories[0] != histories[1] or (histories[0] and not same_inputs):
        return f"a history of {histories[0]} steps there, of {histories[1]} here, or other observations in it"
    return None


def _copy(theirs: nn.Sequential, ours: nn.Sequential, name: str, last_problem: str | None) -> list[str]:
    """Copy layers up to the first that does not fit; a line for those that start anew.

    Args:
        theirs: Layers of the source.
        ours: Layers that are changed; the inputs of the first are matched elsewhere if there are other ones.
        name: actor or critic.
        last_problem: Why the last layer does not fit; None if it may.
    """
    sources, targets = _layers(theirs), _layers(ours)
    for i, target in enumerate(targets):
        last = i + 1 == len(targets)
        there = _described(sources[i]) if i < len(sources) else "no layer"
        problem = last_problem if last else None
        if problem is None and i > 0 and (there != _described(target) or last != (i + 1 == len(sources))):
            problem = f"{there} there, {_described(target)} here"
        if problem is not None:
            which = (
                f"layer {i + 1} of the {name} starts"
                if last
                else f"layers {i + 1} to {len(targets)} of the {name} start"
            )
            return [f"{which} anew: {problem}"]
        if _described(sources[i]) == _described(target):
            target.load_state_dict(sources[i].state_dict())
    return []


def _match_inputs(theirs: ActorCritic, ours: ActorCritic) -> None:
    """Copy the weights and statistics of the inputs that two policies share."""
    place = {entry: i for i, entry in enumerate(theirs.spec.observation)}
    shared = [i for i, entry in enumerate(ours.spec.observation) if entry in place]
    of_source = [place[ours.spec.observation[i]] for i in shared]
    source, target = _layers(theirs.actor)[0], _layers(ours.actor)[0]
    assert isinstance(source, nn.Linear)
    assert isinstance(target, nn.Linear)
    target.weight.zero_()
    target.weight[:, shared] = source.weight[:, of_source]
    target.bias.copy_(source.bias)
    for name in ("mean", "variance"):
        getattr(ours.normalizer, name)[shared] = getattr(theirs.normalizer, name)[of_source]
    ours.normalizer.count.copy_(theirs.normalizer.count)


def _copy_critic(theirs: ActorCritic, ours: ActorCritic, source: str) -> list[str]:
    """Copy the critic where it values the same task by the same inputs; a line where it starts anew."""
    problem = None
    if source.startswith(PREFIX) or theirs.critic is None:
        problem = "the source has none"
    elif theirs.spec.task != ours.spec.task:
        problem = f"that of the source values {theirs.spec.task}, and this run trains {ours.spec.task}"
    elif (theirs.spec.observation, theirs.spec.privileged) != (ours.spec.observation, ours.spec.privileged):
        problem = "that of the source has other inputs"
    if problem is not None:
        return [f"the critic starts anew: {problem}"]
    assert theirs.critic is not None
    assert ours.critic is not None
    if isinstance(ours.privileged_normalizer, ObservationNormalizer):
        assert theirs.privileged_normalizer is not None
        ours.privileged_normalizer.load_state_dict(theirs.privileged_normalizer.state_dict())
    return _copy(theirs.critic, ours.critic, "critic", None)


def _layers(network: nn.Sequential) -> list[nn.Module]:
    """The layers with weights."""
    return [layer for layer in network if next(layer.parameters(), None) is not None]


def _described(layer: nn.Module) -> str:
    """Kind and shape of a layer."""
    return f"{type(layer).__name__} {' x '.join(map(str, next(layer.parameters()).shape))}"


def _only(entries: Sequence[Channel], others: Sequence[Channel]) -> list[Channel]:
    return [entry for entry in entries if entry not in others]


def _listed(entries: Sequence[Channel]) -> str:
    return ", ".join(f"{entry.name} [{entry.unit}]" for entry in entries)
