"""What `inspect` shows is what is in the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.exported_policies import make_policy

from policies.spec import Channel, PolicySpec
from sim2real.export.onnx import export_onnx, record
from sim2real.policy.inspection import inspect
from sim2real.policy.onnx_policy import OnnxPolicyError
from sim2real.policy.trained_on import TrainedOn

SPEC = PolicySpec(
    task="quadrotor-hover",
    robot="cf2x",
    control_hz=50.0,
    observation=(Channel("height_error", "m", "world"), *(Channel(f"previous_motor_{i}") for i in (1, 2, 3, 4))),
    action=tuple(Channel(f"motor_{i}", "1", "motor") for i in (1, 2, 3, 4)),
    action_low=(-1.0, -1.0, -1.0, -1.0),
    action_high=(1.0, 1.0, 1.0, 0.75),
    safe_action=(0.25, 0.25, 0.25, 0.125),
    hidden_sizes=(8, 4),
)


def test_every_fact_is_in_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    trained = TrainedOn({"quadrotor": "cf2x", "mass": 0.25}, {"mass": 0.027, "drag": [0.5, 1.0]})
    export_onnx(make_policy(SPEC), path, batch=1, trained=trained)
    record(path, {"success_rate": 0.98765432, "episodes": 100})
    text = inspect(path)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "schema version 2",
        "task quadrotor-hover",
        "task options quadrotor=cf2x mass=0.25",
        "drone preset cf2x",
        "airframe mass=0.027 drag=[0.5,1]",
        "control rate 50 Hz",
        "action type motors",
        "past actions in the observation 1",
        "network 8-4 tanh, float32",
        "batch 1",
        "already part of the file observation normalising, action squashing, action scaling, action clipping",
        "0 height_error m world",
        "4 previous_motor_4 1 -",
        "action name unit frame low high safe",
        "3 motor_4 1 motor -1 0.75 0.125",
        "success rate 0.987654",
        "episodes 100",
    ):
        assert line in lines
    assert "golden pairs: 8, reproduced here to 1e-05 of each action's range" in text
    assert text.count("  observation [") == 3


def test_a_file_without_a_record_of_its_training_says_so(tmp_path: Path) -> None:
    export_onnx(make_policy(SPEC), tmp_path / "policy.onnx", checks=20)
    lines = [" ".join(line.split()) for line in inspect(tmp_path / "policy.onnx").splitlines()]
    assert "task options unknown, not recorded in the file" in lines
    assert "airframe unknown, not recorded in the file" in lines


def test_a_file_that_cannot_be_used_is_not_described(tmp_path: Path) -> None:
    (tmp_path / "policy.onnx").write_bytes(b"no model")
    with pytest.raises(OnnxPolicyError, match=r"policy\.onnx is damaged or not an ONNX model"):
        inspect(tmp_path / "policy.onnx")


def test_what_a_file_says_does_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "policy.onnx"
    export_onnx(make_policy(SPEC), path, checks=20)
    model = onnx.load(path)
    said = {
        "producer_version": "\x1b]0;title\x07",
        "checkpoint_sha256": "\x1b[2J\rgone",
        "precision": "\x9b31m",
        "already_in_graph": json.dumps(["\x1bc"]),
        "measured": json.dumps({"\x1b[1A": "\x08", "deep": {"\x1b[H": 1}}),
        "trained_on": json.dumps({"task_options": {"\x1b[5m": "\u202e"}, "airframe": {}}),
    }
    onnx.helper.set_model_props(model, {entry.key: entry.value for entry in model.metadata_props} | said)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.float32), "\x1b[7munused"))
    onnx.save(model, path)
    text = inspect(path)
    assert text.replace("\n", "").isprintable()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        r"written by hgrpo-control \x1b]0;title\x07",
        r"checkpoint SHA-256 \x1b[2J gone",
        r"network 8-4 tanh, \x9b31m",
        r"already part of the file \x1bc",
        r"\x1b[1A \x08",
        r"deep \x1b[H=1",
        r"task options \x1b[5m=\u202e",
    ):
        assert line in lines
    assert capfd.readouterr() == ("", "")  # onnxruntime itself would warn of the unused tensor by its name
