"""Half precision, int8 and a fixed batch: what is in the files, how far they are off, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from support.exported_policies import make_policy, make_spec, observations_of, torch_actions

from policies.actor_critic import ActorCritic
from sim2real.export.exportable import ExportError
from sim2real.export.onnx import export_onnx, record
from sim2real.policy.metadata import read_measured
from sim2real.policy.onnx_policy import OnnxPolicy, OnnxPolicyError

RANGE = np.array([2.3, 7.6])  # of the two actions


@pytest.fixture(scope="module")
def policy() -> ActorCritic:
    return make_policy(make_spec())


@pytest.fixture(scope="module")
def files(policy: ActorCritic, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("variants")
    seen = observations_of(policy, 400, seed=5)
    paths = {name: folder / f"{name}.onnx" for name in ("float32", "float16", "int8", "one")}
    export_onnx(policy, paths["float32"])
    export_onnx(policy, paths["float16"], precision="float16")
    export_onnx(policy, paths["int8"], precision="int8", calibration=seen)
    export_onnx(policy, paths["one"], batch=1)
    return paths


def types_of(path: Path) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}


@pytest.mark.parametrize(
    ("precision", "least", "most"),
    # ten bits behind the point leave 2^-11 of a value, through three layers; 255 steps leave half a percent of a layer
    [("float32", 0.0, 1e-6), ("float16", 1e-6, 5e-3), ("int8", 1e-4, 0.2)],
)
def test_each_precision_is_off_by_what_it_leaves_out(
    policy: ActorCritic, files: dict[str, Path], precision: str, least: float, most: float
) -> None:
    observation = observations_of(policy, 1000, seed=6)
    variant = OnnxPolicy(files[precision])
    assert variant.metadata["precision"] == precision
    error = np.abs(variant(observation) - torch_actions(policy, observation)) / RANGE
    assert least <= error.max() <= most
    assert np.all(variant(observation) >= np.array(policy.spec.action_low))
    assert np.all(variant(observation) <= np.array(policy.spec.action_high))


def test_weights_are_stored_in_their_precision_and_the_rest_is_not(files: dict[str, Path]) -> None:
    half = types_of(files["float16"])
    assert half["actor.0.weight"] == half["actor.4.bias"] == TensorProto.FLOAT16
    assert half["normalizer.mean"] == half["action.low"] == TensorProto.FLOAT
    eight = types_of(files["int8"])
    assert eight["actor.0.weight_quantized"] == TensorProto.INT8
    assert not {"actor.0.weight", "actor.2.weight", "actor.4.weight"} & eight.keys()
    assert eight["normalizer.mean"] == TensorProto.FLOAT


def test_an_int8_action_depends_on_its_own_observation_only(policy: ActorCritic, files: dict[str, Path]) -> None:
    variant, observation = OnnxPolicy(files["int8"]), observations_of(policy, 50, seed=7)
    observation[0] = 1e6  # would widen a scale that is computed from the batch
    alone = np.stack([variant(row) for row in observation])
    np.testing.assert_array_equal(alone, variant(observation))


def test_a_fixed_batch_takes_any_number_of_rows_one_by_one(policy: ActorCritic, files: dict[str, Path]) -> None:
    one, any_batch = OnnxPolicy(files["one"]), OnnxPolicy(files["float32"])
    assert one.takes_one_row
    assert not any_batch.takes_one_row
    model = onnx.load(files["one"])
    shapes = [port.type.tensor_type.shape.dim for port in (*model.graph.input, *model.graph.output)]
    assert [size.dim_value for shape in shapes for size in shape] == [1, 5, 1, 2]
    observation = observations_of(policy, 20, seed=8)
    np.testing.assert_allclose(one(observation), any_batch(observation), atol=1e-6)
    assert one(observation[0]).shape == (2,)
    assert one(np.zeros((0, 5))).shape == (0, 2)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_golden_pairs_of_a_variant_notice_a_damaged_weight(
    files: dict[str, Path], tmp_path: Path, precision: str
) -> None:
    model = onnx.load(files[precision])
    name = {"float16": "actor.2.weight", "int8": "actor.2.weight_quantized"}[precision]
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), name))
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(OnnxPolicyError, match="does not reproduce its golden pairs"):
        OnnxPolicy(tmp_path / "damaged.onnx")


def test_what_was_measured_is_written_down_and_changes_no_action(
    policy: ActorCritic, files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "measured.onnx"
    path.write_bytes(files["float16"].read_bytes())
    assert read_measured(OnnxPolicy(path).metadata) == {}
    for measured in ({"episodes": 3}, {"success_rate": 0.1 + 0.2, "episodes": 100}):
        record(path, measured)
        assert read_measured(OnnxPolicy(path).metadata) == measured  # to the last digit, and nothing left of before
    observation = observations_of(policy, 10)
    np.testing.assert_array_equal(OnnxPolicy(path)(observation), OnnxPolicy(files["float16"])(observation))
    with pytest.raises(ValueError, match="not JSON compliant"):
        record(path, {"success_rate": np.nan})
    assert [file.name for file in tmp_path.iterdir()] == ["measured.onnx"]


def test_half_precision_refuses_what_would_leave_its_range(tmp_path: Path) -> None:
    policy = make_policy(make_spec(hidden_sizes=(4,)))
    with torch.no_grad():
        policy.actor[0].weight.fill_(2000.0)  # five entries up to 10: 5 * 10 * 2000 = 1e5 > 65504
        policy.actor[0].bias.zero_()
    export_onnx(policy, tmp_path / "single.onnx")
    with pytest.raises(ExportError, match=r"actor\.0 can reach 1e\+05; .* 6\.55e\+04"):
        export_onnx(policy, tmp_path / "half.onnx", precision="float16")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "bfloat16"}, "precision 'bfloat16'"),
        ({"batch": 2}, "batch is 2"),
        ({"precision": "int8", "calibration": np.zeros((3, 5), np.float32)}, "calibration has 3 observations"),
    ],
)
def test_other_variants_are_refused(policy: ActorCritic, tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export_onnx(policy, tmp_path / "policy.onnx", **arguments)
    assert not list(tmp_path.iterdir())


def test_metadata_name_the_kind_of_action_and_the_past_ones(tmp_path: Path, files: dict[str, Path]) -> None:
    assert OnnxPolicy(files["float32"]).metadata["action_type"] == "other"
    assert json.loads(OnnxPolicy(files["float32"]).metadata["action_history"]) == 0
