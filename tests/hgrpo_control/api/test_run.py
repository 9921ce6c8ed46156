"""Training, runs and policies from Python."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

import hgrpo_control
from hgrpo_control.cli import main
from hgrpo_control.config.learning import Learning, Network
from hgrpo_control.runs.run_folder import RunFolder, RunFolderError
from hgrpo_errors import HgrpoError
from policies.checkpoint import CheckpointError
from sim2real import OnnxPolicy

pytestmark = pytest.mark.slow

CONFIG = hgrpo_control.Config(
    task="quadrotor-hover",
    algorithm=hgrpo_control.PPO(),
    network=Network(hidden_sizes=(8,)),
    learning=Learning(update_epochs=1, num_minibatches=2),
    num_envs=16,
    rollout_steps=8,
    total_steps=512,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> hgrpo_control.TrainingResult:
    """A finished run, not to be changed."""
    return hgrpo_control.train(CONFIG, tmp_path_factory.mktemp("made") / "run")


class Interrupts:
    """Sends SIGINT in the second iteration."""

    def report(self, metrics: hgrpo_control.Metrics) -> None:
        if metrics["iteration"] == 2:
            signal.raise_signal(signal.SIGINT)


def test_a_result_has_the_policy_and_its_run(made: hgrpo_control.TrainingResult) -> None:
    assert not made.interrupted
    assert made.run is not None
    assert made.run.config == CONFIG
    assert os.fspath(made.run) == str(made.run.path)
    for ours, saved in zip(made.policy.state_dict().values(), made.run.policy.state_dict().values(), strict=True):
        assert torch.equal(ours, saved)
    assert list(made.run.metrics["simulator_steps"]) == [128.0, 256.0, 384.0, 512.0]


def test_training_without_a_folder_leaves_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert hgrpo_control.train(dataclasses.replace(CONFIG, total_steps=128), progress=True).run is None
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_returns_the_policy_and_the_run_goes_on(
    tmp_path: Path, made: hgrpo_control.TrainingResult
) -> None:
    result = hgrpo_control.train(CONFIG, tmp_path / "run", [Interrupts()], return_on_interrupt=True)
    assert result.interrupted
    assert result.run is not None
    assert len(result.run.metrics["iteration"]) == 2
    finished = result.run.resume(return_on_interrupt=True)
    assert not finished.interrupted
    for ours, whole in zip(finished.policy.state_dict().values(), made.policy.state_dict().values(), strict=True):
        assert torch.equal(ours, whole)


def test_an_interrupt_is_raised_by_default(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        hgrpo_control.train(CONFIG, tmp_path / "run", [Interrupts()])
    assert len(hgrpo_control.Run(tmp_path / "run").metrics["iteration"]) == 2


def test_progress_shows_a_bar_and_writes_tensorboard_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = dataclasses.replace(CONFIG, total_steps=256)
    run = hgrpo_control.train(config, tmp_path / "run", progress=True).run
    assert "ppo quadrotor-hover" in capsys.readouterr().out
    assert run is not None
    assert any((run.path / "tensorboard").iterdir())
    assert hgrpo_control.resume(run, total_steps=384, progress=True).run is not None
    assert "steps/s" in capsys.readouterr().out
    assert run.config.total_steps == 384


def test_evaluations_are_those_of_the_command(
    made: hgrpo_control.TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made.run is not None
    folder = RunFolder.create(tmp_path / "run", CONFIG)
    folder.checkpoint.write_bytes((made.run.path / "checkpoint.pt").read_bytes())
    words = ["evaluate", str(folder.path), "--episodes", "3", "--seed", "5", "--difficulty", "0.5"]
    assert main([*words, "--task-options", "quadrotor=cf2x"]) == 0
    written = json.loads((folder.path / "evaluation-difficulty=0.5-quadrotor=cf2x.json").read_text())
    options = {"quadrotor": "cf2x"}
    evaluation = hgrpo_control.Run(folder.path).evaluate(3, 5, difficulty=0.5, task_options=options)
    assert evaluation.for_json() == written


@pytest.mark.parametrize(
    ("options", "said"), [({"weights": "finl"}, "weights 'finl'"), ({"difficulty": "hard"}, "difficulty 'hard'")]
)
def test_unknown_words_are_refused(made: hgrpo_control.TrainingResult, options: dict[str, str], said: str) -> None:
    assert made.run is not None
    with pytest.raises(HgrpoError, match=said):
        made.run.evaluate(1, **options)  # type: ignore[arg-type]


def test_an_export_writes_where_it_is_told_and_says_what(made: hgrpo_control.TrainingResult, tmp_path: Path) -> None:
    assert made.run is not None
    (entry,) = made.run.export(onnx=str(tmp_path / "fly.onnx"))
    assert entry.files == (tmp_path / "fly.onnx",)
    assert entry.difference is not None
    assert entry.difference < 1e-4
    assert not (made.run.path / "policy.onnx").exists()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no run at"):
        hgrpo_control.Run(tmp_path / "nothing")


def test_a_policy_is_loaded_from_a_run_a_checkpoint_or_an_export(
    made: hgrpo_control.TrainingResult, tmp_path: Path
) -> None:
    assert made.run is not None
    made.run.export(onnx=tmp_path / "policy.onnx")
    observation = np.random.default_rng(0).normal(size=(5, 16))
    expected = made.policy.predict(observation)
    assert expected.shape == (5, 4)
    assert expected.dtype == np.float32
    for path in (made.run, made.run.path / "checkpoint.pt"):
        policy = hgrpo_control.load(path)
        assert np.array_equal(policy.predict(observation), expected)
        assert policy.predict(observation[2]) == pytest.approx(expected[2], abs=1e-6)
    exported = hgrpo_control.load(str(tmp_path / "policy.onnx"))
    assert isinstance(exported, OnnxPolicy)
    assert exported.predict(observation) == pytest.approx(expected, abs=1e-5)
    assert exported.predict(observation[2]).shape == (4,)


def test_predictions_take_no_gradients_and_refuse_other_sizes(made: hgrpo_control.TrainingResult) -> None:
    with pytest.raises(HgrpoError, match=r"shape \(15,\); allowed: \(16,\) or \(B, 16\)"):
        made.policy.predict(np.zeros(15))
    read_only = np.zeros(16, np.float32)
    read_only.flags.writeable = False
    assert made.policy.predict(read_only).shape == (4,)
    assert made.policy(torch.zeros(16)).requires_grad


def test_files_of_other_kinds_are_no_policies(tmp_path: Path) -> None:
    (tmp_path / "policy.onnx").write_text("text")
    with pytest.raises(HgrpoError, match="damaged or not an ONNX model"):
        hgrpo_control.load(tmp_path / "policy.onnx")
    with pytest.raises(CheckpointError):
        hgrpo_control.load(tmp_path / "none")


def test_public_names_are_callable_after_all_packages_are_loaded(made: hgrpo_control.TrainingResult) -> None:
    """A subpackage of the same name would replace a public function once it is imported."""
    import hgrpo_control.diagnose
    import hgrpo_control.export

    for name in set(hgrpo_control.__all__) - {"Metrics"}:
        assert callable(getattr(hgrpo_control, name)), name
