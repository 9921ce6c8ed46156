"""A policy of the zoo as a network that can be trained: its exported file holds every weight of the actor."""

from __future__ import annotations

import onnx
import torch
from onnx import numpy_helper

from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from policies.zoo import entries, find


def load(name: str) -> ActorCritic:
    """The actor and the normaliser of a policy of the zoo.

    It has no trained critic, and its sigma is not that of its training.

    Raises HgrpoError for an unknown name.
    """
    model = onnx.load(find(name))
    texts = {entry.key: entry.value for entry in model.metadata_props}
    spec = PolicySpec.from_json(texts["policy_spec"])
    policy = ActorCritic(spec, init_sigma=2.0 * spec.min_sigma)
    given = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in model.graph.initializer}
    weights = {key: value for key, value in given.items() if key in policy.state_dict() and key.startswith("actor.")}
    deviation = given["normalizer.scale"].double().reciprocal()
    policy.load_state_dict(
        weights
        | {
            "normalizer.mean": given["normalizer.mean"].double(),
            "normalizer.variance": deviation.square(),
            "normalizer.count": torch.tensor(float(entries()[name].observations), dtype=torch.float64),
        },
        strict=False,
    )
    return policy
