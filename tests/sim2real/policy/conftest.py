"""One policy, exported once for every test of a module."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.exported_policies import ELU_SPEC, OBSERVATIONS

from policies.actor_critic import ActorCritic
from sim2real.export.onnx import export_onnx
from sim2real.policy.onnx_policy import OnnxPolicy


@pytest.fixture(scope="module")
def policy() -> ActorCritic:
    generator = torch.Generator().manual_seed(0)
    policy = ActorCritic(ELU_SPEC, generator=generator)
    policy.normalizer.update(torch.from_numpy(OBSERVATIONS))
    with torch.no_grad():
        policy.actor[-1].weight.mul_(50.0)
    return policy


@pytest.fixture(scope="module")
def exported(policy: ActorCritic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "policy.onnx"
    export_onnx(policy, path)
    return path


@pytest.fixture(scope="module")
def onnx_policy(exported: Path) -> OnnxPolicy:
    return OnnxPolicy(exported)
