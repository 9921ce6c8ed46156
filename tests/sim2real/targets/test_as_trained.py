"""A policy is flown on what it was trained on, or it is said what differs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support.hover_controller import hover_controller

import hgrpo_control
import robots
from hgrpo_control.cli import main
from hgrpo_control.runs.run_folder import RunFolder
from policies import checkpoint
from robots.quadrotor.body.parameters import preset
from robots.quadrotor.flight.simulator import QuadrotorFlight
from sim2real import OnnxPolicy
from sim2real.export.onnx import export_onnx
from sim2real.flight.clock import SteppedClock
from sim2real.flight.target import TargetError
from sim2real.policy.trained_on import TrainedOn, from_json
from sim2real.targets.simulated import SimulatedTarget

pytestmark = pytest.mark.slow

OPTIONS = {"quadrotor": "cf2x", "difficulty": "0.05"}
FAST = ("simulated", "--fast", "--episodes", "1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose policy was trained for a cf2x, and every ONNX file of it."""
    simulator = robots.make("quadrotor-hover", **OPTIONS)
    assert isinstance(simulator, QuadrotorFlight)
    config = dataclasses.replace(hgrpo_control.preset("ppo", "quadrotor-hover"), task_options=OPTIONS)
    folder = RunFolder.create(tmp_path_factory.mktemp("trained") / "run", config)
    checkpoint.save(folder.checkpoint, hover_controller(simulator))
    assert main(["export", str(folder.path), "--batch-1", "--float16", "--int8", "--episodes", "1"]) == 0
    return folder.path


def target_of(policy: OnnxPolicy, trained: TrainedOn | None, task: str = "", **given: Any) -> SimulatedTarget:
    return SimulatedTarget(policy.spec, SteppedClock(), task, given, trained=trained)


@pytest.mark.parametrize("name", ["policy", "policy.batch1", "policy.float16", "policy.int8"])
def test_every_export_flies_the_airframe_and_the_options_of_its_training(run: Path, name: str) -> None:
    policy = OnnxPolicy(run / f"{name}.onnx")
    assert policy.trained_on == (OPTIONS, preset("cf2x").numbers())
    target = target_of(policy, policy.trained_on)
    assert isinstance(target.simulator, QuadrotorFlight)
    assert target.simulator.parameters == preset("cf2x")
    assert target.simulator.difficulty == 0.05
    assert target.differences == ""


def test_the_command_flies_as_trained_and_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fly", str(run / "policy.onnx"), *FAST]) == 0
    out = capsys.readouterr().out
    assert "trained for quadrotor-hover; task options: quadrotor=cf2x difficulty=0.05\n" in out
    assert "airframe cf2x: name=cf2x mass=0.027 inertia=[1.4e-05,1.4e-05,2.17e-05]" in out
    assert "otherwise" not in out
    assert "success_rate 1.000, length 500" in out


def test_what_is_asked_for_is_flown_and_named_in_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--task-options", "quadrotor=cf21B_500", "difficulty=5e-2", "wind=0.5", "--seconds", "0.1")
    assert main(["fly", str(run / "policy.onnx"), *FAST, *words]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "otherwise" in line]
    assert line == (
        "flown otherwise than trained: quadrotor=cf21B_500 (trained: quadrotor=cf2x), "
        "wind=0.5 (trained: default of quadrotor-hover)"
    )


def test_an_older_file_says_nothing_and_flies_no_other_drone(run: Path, tmp_path: Path) -> None:
    older = tmp_path / "older.onnx"
    export_onnx(checkpoint.load(run / "checkpoint.pt"), older, checks=20)
    policy = OnnxPolicy(older)
    assert policy.trained_on is None
    refusal = "trained for cf2x; quadrotor-hover has cf21B_500; --task-options quadrotor=cf2x "
    with pytest.raises(TargetError, match=refusal):
        target_of(policy, None)
    target = target_of(policy, None, quadrotor="cf2x")
    assert target.differences == "quadrotor=cf2x (trained: unknown)"


def test_other_numbers_of_the_same_drone_are_refused(run: Path) -> None:
    policy = OnnxPolicy(run / "policy.onnx")
    trained = TrainedOn(OPTIONS, preset("cf2x").numbers() | {"mass": 0.03})
    with pytest.raises(TargetError, match=r": mass=0\.027 \(trained: mass=0\.03\); --task-options quadrotor=cf"):
        target_of(policy, trained)
    assert target_of(policy, trained, quadrotor="cf2x").differences == "cf2x: mass=0.027 (trained: mass=0.03)"


def test_another_task_does_not_take_the_options_over(run: Path) -> None:
    policy = OnnxPolicy(run / "policy.onnx")
    with pytest.raises(TargetError, match="quadrotor-hover-gusty has cf21B_500"):
        target_of(policy, policy.trained_on, "quadrotor-hover-gusty")
    target = target_of(policy, policy.trained_on, "quadrotor-hover-gusty", quadrotor="cf2x", rotor_lag="0")
    assert target.differences == (
        "task quadrotor-hover-gusty (trained: quadrotor-hover), rotor_lag=0 (trained: default of quadrotor-hover), "
        "other options: defaults of quadrotor-hover-gusty (trained: difficulty=0.05)"
    )


def test_the_c_header_says_it_too(run: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), "--c", str(tmp_path / "policy")]) == 0
    header = (tmp_path / "policy.h").read_text()
    assert '#define POLICY_TASK_OPTIONS "quadrotor=cf2x difficulty=0.05"\n' in header
    assert " * Trained with the task options: quadrotor=cf2x difficulty=0.05\n" in header
    assert " * Airframe of its training, in SI units: name=cf2x mass=0.027 " in header


@pytest.mark.parametrize("text", ["[", "[]", "{}", json.dumps({"task_options": {}, "airframe": 3})])
def test_a_record_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has an unreadable trained_on"):
        from_json(text)


def test_a_record_comes_back_as_it_was_written() -> None:
    trained = TrainedOn(OPTIONS, preset("cf21B_500").numbers())
    assert from_json(trained.to_json()) == trained
    assert from_json(None) is None
