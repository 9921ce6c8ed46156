"""ONNX files of policies with memory: torch over sequences of 1,000 steps, variants, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from support.policies_with_memory import MEMORIES, actions_over, remembering, sequences_of, shares

from policies.actor_critic import ActorCritic
from sim2real.export.exportable import ExportError, check_inputs
from sim2real.export.onnx import export_onnx
from sim2real.export.rounding import tolerance
from sim2real.policy.metadata import KEYS
from sim2real.policy.onnx_policy import OnnxPolicy

VARIANTS = {"float32": 0.0, "one": 0.0, "float16": 1e-6, "int8": 1e-4}
"""Least difference from torch that each has."""
MOST = {"float32": 1e-5, "one": 1e-5, "float16": 1e-2, "int8": 0.3}


@pytest.fixture(scope="module", params=MEMORIES)
def policy(request: pytest.FixtureRequest) -> ActorCritic:
    return remembering(request.param)


@pytest.fixture(scope="module")
def files(policy: ActorCritic, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("variants")
    paths = {name: folder / f"{name}.onnx" for name in VARIANTS}
    export_onnx(policy, paths["float32"])
    export_onnx(policy, paths["one"], checks=50, batch=1)
    export_onnx(policy, paths["float16"], checks=50, precision="float16")
    export_onnx(policy, paths["int8"], precision="int8", calibration=sequences_of(policy, 100, 6, seed=5))
    return paths


def run_file(path: Path, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Actions (T, B, A) of the file alone, with a memory of zeros at first."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    memory = np.zeros((observation.shape[1], session.get_inputs()[1].shape[1]), np.float32)
    actions = []
    for rows in observation:
        action, memory = session.run(["action", "next_memory"], {"observation": rows, "memory": memory})
        actions.append(action)
    return np.stack(actions)


@pytest.mark.parametrize("rows", [1, 7])
def test_onnx_memory_agrees_with_torch_over_a_thousand_steps(
    policy: ActorCritic, files: dict[str, Path], rows: int
) -> None:
    observation = sequences_of(policy, 1000, rows)
    expected = actions_over(policy, observation)
    assert shares(policy, run_file(files["float32"], observation), expected).max() <= 1e-5
    forgetful = actions_over(policy, observation[-1:])
    assert shares(policy, forgetful, expected[-1:]).max() > 1e-2  # so the memory matters


@pytest.mark.parametrize("variant", VARIANTS)
def test_onnx_memory_of_each_variant_is_off_by_what_it_leaves_out(
    policy: ActorCritic, files: dict[str, Path], variant: str
) -> None:
    observation = sequences_of(policy, 200, 1)
    error = shares(policy, run_file(files[variant], observation), actions_over(policy, observation))
    assert VARIANTS[variant] <= error.max() <= MOST[variant]


@pytest.mark.parametrize("variant", VARIANTS)
def test_onnx_memory_is_single_precision_in_every_variant(files: dict[str, Path], variant: str) -> None:
    graph = onnx.load(files[variant]).graph
    ports = {port.name: port.type.tensor_type.elem_type for port in (*graph.input, *graph.output)}
    assert ports == dict.fromkeys(("observation", "memory", "action", "next_memory"), TensorProto.FLOAT)


def test_onnx_state_of_a_half_precision_gru_keeps_small_changes(tmp_path: Path) -> None:
    # update gate 1 - 2^-12 by its bias: from a state of 1 towards n = 0 each step takes 2^-12, which half precision,
    # with steps of 2^-11 below 1, could not show
    policy = remembering("gru")
    cell, size = policy.actor[-2], MEMORIES["gru"]
    assert isinstance(cell, torch.nn.GRUCell)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.bias_ih[size : 2 * size] = 8.317
    export_onnx(policy, tmp_path / "half.onnx", checks=5, precision="float16")
    _, after = OnnxPolicy(tmp_path / "half.onnx").step(
        np.zeros((1, policy.spec.observation_size), np.float32), np.ones((1, size), np.float32)
    )
    assert 2.0**-13 < 1.0 - after.max() < 2.0**-11


def test_onnx_metadata_state_kind_and_size_of_the_memory(policy: ActorCritic, files: dict[str, Path]) -> None:
    model = onnx.load(files["float32"])
    texts = {entry.key: entry.value for entry in model.metadata_props}
    assert set(texts) == {*KEYS, "memory", "memory_size"}
    assert (texts["memory"], texts["memory_size"]) == (policy.spec.memory, str(policy.spec.memory_size))
    sequences = json.loads(texts["golden_pairs"])
    assert len(sequences) > 1
    assert min(map(len, sequences)) > 1
    assert "next_memory" in model.doc_string


def test_onnx_variant_of_a_history_is_checked_with_the_actions_of_the_flight(tmp_path: Path) -> None:
    # the action follows the one before, two and a half times as large: small errors of a variant's own actions would
    # grow to the whole range
    policy, size = remembering("history", hidden_sizes=()), 5
    with torch.no_grad():
        weight = policy.actor[0].weight
        weight.mul_(0.01)
        weight[:, 2 * size : 2 * size + 2] = 2.5 * torch.eye(2)
        policy.actor[0].bias.zero_()
    flown = sequences_of(policy, 100, 6, seed=5)
    assert export_onnx(policy, tmp_path / "int8.onnx", precision="int8", calibration=flown) < 1.0  # of 7.6
    own = OnnxPolicy(tmp_path / "int8.onnx")
    error = shares(policy, np.stack([own(rows) for rows in flown]), actions_over(policy, flown))
    assert error.max() > 0.4


class ForgetsSlowly(ActorCritic):
    """Does not do what its layers say: its memory loses a share in each step."""

    share = 0.0

    def forward(self, observation: torch.Tensor, memory: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        assert memory is not None
        return super().forward(observation, memory * (1.0 - self.share))  # type: ignore[return-value]


def test_onnx_export_refuses_a_memory_that_is_not_the_policy_s(tmp_path: Path, policy: ActorCritic) -> None:
    broken = ForgetsSlowly(policy.spec)
    broken.load_state_dict(policy.state_dict())
    broken.share = 0.01
    with pytest.raises(ExportError, match=r"action 'action_\d' differs by \S+, allowed \S+\Z"):
        export_onnx(broken, tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())


def test_rounding_over_sequences_lies_within_the_tolerance_of_double(policy: ActorCritic) -> None:
    observation = check_inputs(policy, 300)
    allowed = tolerance(policy, observation)
    single = actions_over(policy, observation)
    double = remembering(policy.spec.memory).double()
    memory = torch.zeros(observation.shape[1], policy.spec.memory_width, dtype=torch.float64)
    for step, rows in enumerate(torch.from_numpy(observation).double()):
        action, memory = double(rows, memory)
        assert (shares(policy, single[step], action.detach().numpy()) <= allowed[step]).all()
    assert np.median(allowed) < 1e-4
