"""`hgrpo export` and `hgrpo inspect`: which files are written, and that what they hold flies like the policy."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hover_controller import hover_controller
from numpy.typing import NDArray

import hgrpo_control
import robots
from hgrpo_control.cli import main
from hgrpo_control.evaluation import evaluate
from hgrpo_control.exported import Exported, Noting
from hgrpo_control.run_folder import RunFolder
from policies import checkpoint
from policies.actor_critic import ActorCritic
from policies.spec import PolicySpec
from sim2real import CPolicy, OnnxPolicy
from sim2real.c_policy import compile_library

OPTIONS = {"difficulty": 0.3}


@pytest.fixture(scope="module")
def policy() -> ActorCritic:
    return hover_controller(robots.make("quadrotor-hover", **OPTIONS))  # type: ignore[arg-type]


@pytest.fixture
def run(policy: ActorCritic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with the hand-made policy in it, as the working directory's `run`."""
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(hgrpo_control.preset("ppo", "quadrotor-hover"), task_options=OPTIONS)
    folder = RunFolder.create("run", config)
    checkpoint.save(folder.checkpoint, policy)
    return folder.path


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"config.json", "checkpoint.pt"}


@pytest.mark.parametrize(
    ("words", "files", "in_run"),
    [
        ((), set(), {"policy.onnx"}),
        (("--onnx",), set(), {"policy.onnx"}),
        (("--onnx", "other.onnx"), {"other.onnx"}, set()),
        (("--batch-1",), set(), {"policy.onnx", "policy.batch1.onnx"}),
        (("--c", "policy"), {"policy.c", "policy.h"}, set()),
        (("--c", "policy", "--onnx"), {"policy.c", "policy.h"}, {"policy.onnx"}),
        (("--crazyflie", "app"), {"app"}, set()),
    ],
)
def test_writes_what_is_asked_for(run: Path, words: tuple[str, ...], files: set[str], in_run: set[str]) -> None:
    assert main(["export", "run", *words]) == 0
    assert written(Path()) == {"run"} | files
    assert written(run) == in_run


def test_variants_are_flown_and_carry_what_was_measured(
    run: Path, policy: ActorCritic, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "run", "--float16", "--int8", "--episodes", "4"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3
    expected, _ = evaluate(policy, robots.make("quadrotor-hover", **OPTIONS), 4, seed=1)
    for line, precision in zip(out[1:], ("float16", "int8"), strict=True):
        path = run / f"policy.{precision}.onnx"
        assert line.startswith(f"onnx: {path} ({precision}: differs from torch by ")
        measured = json.loads(OnnxPolicy(path).metadata["measured"])
        assert measured["episodes"] == 4
        assert measured["policy_return_mean"] == pytest.approx(expected.return_mean)
        assert measured["policy_success_rate"] == expected.success_rate
        assert 0.0 < measured["mean_error"] < measured["largest_error"] < 0.5
    assert main(["inspect", str(path)]) == 0
    shown = [" ".join(row.split()) for row in capsys.readouterr().out.splitlines()]
    assert "drone preset cf21B_500" in shown
    assert f"success rate {measured['success_rate']:.6g}" in shown


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler cc here")
def test_c_flies_as_often_to_the_goal_as_torch(run: Path, policy: ActorCritic) -> None:
    simulator = robots.make("quadrotor-hover", **OPTIONS)
    expected, _ = evaluate(policy, simulator, 16, seed=3)
    assert 0.0 < expected.success_rate < 1.0  # or it would not tell policies apart
    assert main(["export", "run", "--c", "policy", "--onnx"]) == 0
    compile_library(Path("policy.c"), Path("policy.so"), flags=("-O3", "-ffast-math"))
    for act in (CPolicy(Path("policy.so"), "policy", policy.spec), OnnxPolicy(run / "policy.onnx")):
        evaluation, _ = evaluate(Exported(act), simulator, 16, seed=3)
        assert evaluation.success_rate == expected.success_rate
        assert evaluation.length_mean == expected.length_mean
        assert evaluation.return_mean == pytest.approx(expected.return_mean, abs=0.1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--c", "2"), "'2' cannot begin the name of a C function"),
        (("--int8", "--episodes", "0"), "episodes must be at least 1; given 0"),
        (("--tanh", "sinh"), "invalid choice 'sinh'"),
        (("--onnx", "missing/policy.onnx"), "it lies in no existing folder"),
    ],
)
def test_mistakes_are_one_line(
    run: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "run", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert written(Path()) == {"run"}
    assert written(run) == set()


class PlusOne:
    """Adds 1 to the first four entries."""

    def __init__(self, spec: PolicySpec) -> None:
        self.spec = spec

    def __call__(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        assert observation.dtype == np.float32
        assert observation.flags.c_contiguous
        return observation[:, :4] + np.float32(1.0)


def test_what_acts_on_arrays_acts_on_tensors(policy: ActorCritic) -> None:
    pilot = Noting(Exported(PlusOne(policy.spec)))
    observation = torch.arange(32.0, dtype=torch.float64).reshape(16, 2).T
    assert torch.equal(pilot(observation), observation[:, :4].float() + 1.0)
    assert torch.equal(torch.from_numpy(pilot.seen[0]), observation.float())
