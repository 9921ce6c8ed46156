"""Files that are no exported policy are refused, in one line that names the file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.exported_policies import ELU_SPEC

from policies.spec import Channel
from sim2real.policy.onnx_policy import OnnxPolicy, OnnxPolicyError


def refusal(path: Path) -> str:
    """The one line, naming the file, that OnnxPolicy refuses it with."""
    with pytest.raises(OnnxPolicyError) as caught:
        OnnxPolicy(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_files_that_are_no_model_are_refused(tmp_path: Path, exported: Path) -> None:
    assert "cannot read" in refusal(tmp_path / "missing.onnx")
    assert "is a folder; expected an ONNX file" in refusal(tmp_path)
    path = tmp_path / "broken.onnx"
    generator = np.random.default_rng(0)
    for length in (0, 1, 100, 10_000):
        path.write_bytes(generator.bytes(length))
        assert "damaged or not an ONNX model" in refusal(path)


def test_every_truncation_is_refused(tmp_path: Path, exported: Path) -> None:
    content = exported.read_bytes()
    path = tmp_path / "truncated.onnx"
    for length in (*np.linspace(1, len(content) - 1, 60).astype(int), len(content) - 1):
        path.write_bytes(content[:length])
        assert re.search(r"damaged|lacks the metadata", refusal(path))


def edited(exported: Path, tmp_path: Path, edit: Callable[[onnx.ModelProto], object]) -> Path:
    model = onnx.load(exported)
    edit(model)
    path = tmp_path / "edited.onnx"
    onnx.save(model, path)
    return path


def with_metadata(**changes: str) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        for entry in model.metadata_props:
            entry.value = changes.get(entry.key, entry.value)

    return edit


def with_scaled(name: str, factor: float) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))

    return edit


def rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "state"


def fix_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


def widen_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4


def add_output(model: onnx.ModelProto) -> None:
    model.graph.output.add().CopyFrom(onnx.helper.make_tensor_value_info("normalized", 1, ["batch", 3]))


OTHER_SIZE = replace(ELU_SPEC, observation=(*ELU_SPEC.observation, Channel("p", "rad/s")))
PAIR = {"observation": [0.0, 0.0, 0.0], "action": [0.3, 0.0]}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda model: model.ClearField("metadata_props"), "lacks the metadata schema_version, policy_spec"),
        (lambda model: model.metadata_props.pop(), "lacks the metadata golden_tolerance"),
        (with_metadata(schema_version="1"), "schema version '1'"),
        (with_metadata(policy_spec="{}"), "unreadable policy_spec"),
        (with_metadata(policy_spec="[]"), "unreadable policy_spec"),
        (with_metadata(policy_spec="not JSON"), "unreadable policy_spec"),
        (with_metadata(policy_spec=ELU_SPEC.to_json().replace("elu", "gelu")), "unknown activation 'gelu'"),
        (with_metadata(policy_spec=OTHER_SIZE.to_json()), "expected by its policy_spec: observation"),
        (widen_input, "damaged or not an ONNX model"),
        (rename_input, "has the input state tensor(float) ['batch', 3]"),
        (fix_batch, "has the input observation tensor(float) [2, 3]"),
        (add_output, "has the output action tensor(float) ['batch', 2], normalized"),
        (with_metadata(golden_pairs="not JSON"), "unreadable golden pairs"),
        (with_metadata(golden_pairs='[{"observation": [0, 0, 0]}]'), "unreadable golden pairs"),
        (with_metadata(golden_pairs="[]"), "at least one pair"),
        (with_metadata(golden_pairs=json.dumps([{**PAIR, "action": [0.3]}])), "golden pairs of shapes"),
        (with_metadata(golden_pairs=json.dumps([PAIR])), "does not reproduce its golden pairs: action "),
        (with_metadata(golden_pairs=json.dumps([{**PAIR, "action": [0.3, np.nan]}])), "'roll_rate' differs by nan"),
        (
            with_metadata(golden_pairs=json.dumps([{**PAIR, "observation": [0, 0, np.nan]}])),
            "entry 'w' in row 0 is nan",
        ),
        (with_scaled("actor.0.weight", 1.01), "does not reproduce its golden pairs: action "),
        (with_scaled("normalizer.mean", 1.01), "does not reproduce its golden pairs: action "),
        (with_scaled("action.highest", 0.5), "does not reproduce its golden pairs: action "),
    ],
)
def test_edited_files_are_refused(
    exported: Path, tmp_path: Path, edit: Callable[[onnx.ModelProto], object], message: str
) -> None:
    assert message in refusal(edited(exported, tmp_path, edit))


@pytest.mark.parametrize("where", ["beside.bin", "../above.bin", "absolute"])
def test_weights_that_lie_in_other_files_are_not_read(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    location = str(tmp_path / "above.bin") if where == "absolute" else where

    def moved_out(model: onnx.ModelProto) -> None:
        weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
        numbers = onnx.numpy_helper.to_array(weight).tobytes()
        for path in (tmp_path / "above.bin", tmp_path / "here" / "beside.bin"):
            path.write_bytes(numbers)
        weight.ClearField("raw_data")
        weight.ClearField("float_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", str(len(numbers)))):
            weight.external_data.add(key=key, value=value)

    assert "is damaged or not an ONNX model" in refusal(edited(exported, tmp_path, moved_out))


def test_an_unedited_copy_is_accepted(exported: Path, tmp_path: Path) -> None:
    assert OnnxPolicy(str(edited(exported, tmp_path, lambda model: None))).spec == ELU_SPEC
