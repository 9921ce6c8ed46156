"""Training runs from the command line with reward transforms that remember: stopped and resumed, nothing changes."""

from __future__ import annotations

import math
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import policies
from hgrpo_control.cli import main
from hgrpo_control.runs import tensorboard
from hgrpo_control.runs.run_folder import Metrics, RunFolder

pytestmark = pytest.mark.slow

ITERATIONS = 3
TINY = ("--num-envs", "16", "--rollout-steps", "32", "--hidden-sizes", "8", "--update-epochs", "2")
TINY += ("--num-minibatches", "2", "--num-samples", "2", "--pathwise", "off")
TINY += ("--total-steps", str(ITERATIONS * 16 * 32 * 2))
CLOCKS = {"wall_seconds", "simulator_steps_per_second", "sampling_seconds", "learning_seconds"}
ADAPTED = ("--ent-coef", "0.01", "--target-sigma", "0.3", "--ent-learning-rate", "0.02")

MODULE = """
class Largest:
    def __init__(self):
        self.largest = 0.1
    def __call__(self, reward):
        return reward / self.largest
    def update(self, reward, done):
        self.largest += 0.5 * (reward.abs().max().item() - self.largest)
    def state_dict(self):
        return {"largest": self.largest}
    def load_state_dict(self, saved):
        self.largest = saved["largest"]
"""


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """Every tensor and number in nested containers by where it lies."""
    if isinstance(tree, dict):
        return {k: v for key, value in tree.items() for k, v in flat(value, f"{path}/{key}").items()}
    if isinstance(tree, (list, tuple)):
        return {k: v for i, value in enumerate(tree) for k, v in flat(value, f"{path}/{i}").items()}
    return {path: tree}


def saved(folder: Path) -> dict[str, Any]:
    """All that a run's next iteration depends on."""
    policy, training = policies.restore(folder)
    return flat({"policy": dict(policy.state_dict()), "training": training})


def rows(folder: Path) -> list[list[str]]:
    """Metrics as text, so that NaN equals NaN and every digit counts."""
    metrics = RunFolder(folder).read_metrics()
    return [[repr(v) for name, v in row.items() if name not in CLOCKS] for row in metrics]


def assert_same_run(one: Path, other: Path) -> None:
    ours, theirs = saved(one), saved(other)
    assert ours.keys() == theirs.keys()
    for path in ours.keys() - {"/training/wall_seconds"}:
        same = torch.equal if isinstance(ours[path], torch.Tensor) else lambda a, b: a == b
        assert same(ours[path], theirs[path]), path
    assert rows(one) == rows(other)


@pytest.mark.parametrize(
    ("algorithm", "options", "state"),
    [
        ("hybrid-grpo", ("--reward-transform", "scale", *ADAPTED), "carry"),
        # the second of the rollouts of 512 executed steps overflows the window
        ("hybrid-grpo", ("--reward-transform", "rolling", "--reward-window", "700"), "recent"),
        ("grpo", ("--reward-transform", "rolling-std", "--reward-window", "700", *ADAPTED), "recent"),
        ("hybrid-grpo", ("--reward-transform", "largest_reward:Largest"), "custom/largest"),
    ],
    ids=["hybrid-scale", "hybrid-rolling", "grpo-rolling-std", "hybrid-custom"],
)
def test_a_stopped_and_resumed_run_is_the_run_that_never_stopped(
    algorithm: str, options: tuple[str, ...], state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("largest_reward.py").write_text(MODULE)
    command = ["train", algorithm, "quadrotor-hover", *TINY, *options]
    assert main([*command, "--out", "whole"]) == 0

    def report(self: tensorboard.TensorBoard, metrics: Metrics) -> None:
        if metrics["iteration"] == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as stopping:
        stopping.setattr(tensorboard.TensorBoard, "report", report)
        assert main([*command, "--out", "stopped"]) == 130
    assert policies.restore("stopped")[1]["iteration"] == 2
    assert f"/training/reward_transform/{state}" in saved(Path("stopped"))
    named = ("--import", "largest_reward") if state.startswith("custom") else ()
    assert main(["resume", "stopped", *named]) == 0
    assert_same_run(Path("stopped"), Path("whole"))


def test_a_transform_that_does_not_fit_the_checkpoint_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "hybrid-grpo", "quadrotor-hover", *TINY, "--out", "run"]) == 0
    config = Path("run/config.json")
    config.write_text(config.read_text().replace('"identity"', '"scale"'))
    capsys.readouterr()
    assert main(["resume", "run"]) == 2
    assert capsys.readouterr().err == (
        "hgrpo: run/checkpoint.pt does not hold the training state that config.json needs\n"
    )


def test_reported_returns_are_raw_and_the_diagnostics_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("thousandth.py").write_text("def f(reward):\n    return 0.001 * reward\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    long = [word.replace("32", "64") if word == "32" else word for word in TINY]  # episodes end in the first iteration
    read = []
    for name in ("identity", "thousandth:f"):
        command = ["train", "grpo", "quadrotor-hover", *long, "--reward-transform", name]
        assert main([*command, "--out", name[:8]]) == 0
        read.append(next(row for row in RunFolder(name[:8]).read_metrics() if not math.isnan(row["episode_return"])))
    # the first iteration acts alike, whatever it is paid
    raw, scaled = read
    assert raw["iteration"] == scaled["iteration"] == 1
    assert raw["episode_return"] == scaled["episode_return"]
    assert scaled["group_spread"] == pytest.approx(0.001 * raw["group_spread"], rel=1e-4)
