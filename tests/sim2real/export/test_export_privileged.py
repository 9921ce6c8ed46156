"""Export of a policy whose critic saw more than it does: what flies needs none of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support import exported_policies

from policies.actor_critic import ActorCritic
from policies.spec import Channel, PolicySpec
from sim2real.export.exportable import checkpoint_hash
from sim2real.export.onnx import export_onnx
from sim2real.policy.onnx_policy import OnnxPolicy

SPEC = replace(exported_policies.SPEC, privileged=(Channel("mass_factor"), Channel("wind_x", "m/s^2", "body")))
SEEN = np.random.default_rng(0).normal(0.5, 2.0, (40, 5)).astype(np.float32)


def make_policy(spec: PolicySpec = SPEC) -> ActorCritic:
    """A policy whose actions lie all over their range."""
    policy = ActorCritic(spec, generator=torch.Generator().manual_seed(0))
    policy.update_normalizers(torch.from_numpy(SEEN[:, : 3 + spec.privileged_size]))
    with torch.no_grad():
        policy.actor[-1].weight.mul_(50.0)
    return policy


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "policy.onnx"
    assert export_onnx(make_policy(), path) <= 6e-6  # 1e-5 of the narrower range, 0.6
    return path


def test_the_file_takes_the_observation_alone_and_acts_like_the_policy(exported: Path) -> None:
    flown, observation = OnnxPolicy(exported), SEEN[:, :3].copy()
    with torch.no_grad():
        expected = make_policy()(torch.from_numpy(observation)).numpy()
    assert expected.std(axis=0).min() > 0.02
    np.testing.assert_allclose(flown(observation), expected, rtol=0, atol=6e-6)
    np.testing.assert_allclose(flown(observation[0]), expected[0], rtol=0, atol=6e-6)
    with pytest.raises(ValueError, match=r"observation has shape \(40, 5\); expected \(3,\) or \(B, 3\)"):
        flown(SEEN)


def test_the_file_says_what_the_critic_saw_and_holds_none_of_it(exported: Path) -> None:
    assert OnnxPolicy(exported).spec == SPEC
    model = onnx.load(exported)
    assert [port.type.tensor_type.shape.dim[1].dim_value for port in model.graph.input] == [3]
    assert not [x.name for x in model.graph.initializer if "critic" in x.name or "privileged" in x.name]
    assert "mass_factor" not in model.doc_string


def test_the_graph_is_that_of_the_same_policy_without_privilege(exported: Path, tmp_path: Path) -> None:
    """The same seed gives the same actor; golden pairs and everything that acts are equal to the bit."""
    export_onnx(make_policy(replace(SPEC, privileged=())), tmp_path / "plain.onnx")
    ours, theirs = onnx.load(exported), onnx.load(tmp_path / "plain.onnx")
    assert ours.graph.SerializeToString() == theirs.graph.SerializeToString()
    assert OnnxPolicy(exported).metadata["golden_pairs"] == OnnxPolicy(tmp_path / "plain.onnx").metadata["golden_pairs"]


def test_the_hash_follows_what_the_critic_saw() -> None:
    policy, same, other = make_policy(), make_policy(), make_policy()
    assert other.privileged_normalizer is not None
    other.privileged_normalizer.mean.add_(1e-3)
    assert checkpoint_hash(policy) == checkpoint_hash(same) != checkpoint_hash(other)
