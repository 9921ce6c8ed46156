"""The command line from end to end: help, the list of tasks, and train, evaluate, export and compare."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from support.tiny_runs import TINY

import policies
import robots
from hgrpo_control.cli import COMMANDS, main
from hgrpo_control.config.algorithms import ALGORITHMS
from hgrpo_control.runs.run_folder import RunFolder
from sim2real.policy.onnx_policy import OnnxPolicy


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder of its own, so that relative paths end up there."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_overview_lists_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == (0 if words else 2)
    out, err = capsys.readouterr()
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main([command, "--help"])
    except SystemExit as stopped:
        status = stopped.code or 0
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    assert f"hgrpo {command}" in out


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_help_of_training_shows_the_options_of_the_algorithm(
    algorithm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", algorithm, "quadrotor-hover", "--help"])
    assert caught.value.code in (0, None)
    out = capsys.readouterr().out
    assert f"usage: hgrpo train {algorithm} quadrotor-hover" in out
    assert "--total-steps INT" in out
    assert "--learning-rate FLOAT" in out
    assert ("--num-samples" in out) == (algorithm != "ppo")
    assert ("--estimator" in out) == (algorithm == "hybrid-grpo")


def test_tasks_are_listed_with_their_spaces(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["tasks"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    (line,) = [line for line in out.splitlines() if "quadrotor-hover " in line]
    for part in (" cf21B_500 ", " 16 ", " 4 ", " 100 ", " 500 "):
        assert part in line
    assert all(task in out for task in robots.names())


def test_task_names_are_whole_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["tasks"]) == 0
    out = capsys.readouterr().out
    assert all(task in out for task in robots.names())


def test_goals_are_listed_where_there_is_room(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["tasks"]) == 0
    assert robots.make("Reacher-v5").spec.goal in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["tasks"]) == 0
    assert "goal" not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_train_evaluate_export_and_compare(algorithm: str, capsys: pytest.CaptureFixture[str]) -> None:
    steps = ("--total-steps", str(256 if algorithm == "ppo" else 1024))  # N = 4 for the others
    assert main(["train", algorithm, "quadrotor-hover", *TINY[:-2], *steps, "--seed", "2"]) == 0
    folder = Path(f"runs/{algorithm}-quadrotor-hover-seed2")
    trained = capsys.readouterr()
    assert f"trained: {folder} ({int(steps[1]):,} simulator steps in " in trained.out
    assert trained.err == ""
    assert {path.name for path in folder.iterdir()} == {"config.json", "metrics.csv", "checkpoint.pt", "tensorboard"}

    assert main(["evaluate", str(folder), "--episodes", "5", "--seed", "1"]) == 0
    evaluated = capsys.readouterr().out
    figures = json.loads((folder / "evaluation.json").read_text())
    assert (figures["task"], figures["episodes"], figures["seed"]) == ("quadrotor-hover", 5, 1)
    assert evaluated.splitlines() == [
        "judged at difficulty 1 (full), default reward weights",
        f"5 episodes: return {figures['return_mean']:.1f} +- {figures['return_std']:.1f}, "
        f"success_rate {figures['success_rate']:.3f}, length {figures['length_mean']:.0f}",
        f"position error [m] {figures['metrics']['position error [m]']:.3g}",
        f"evaluation: {folder}/evaluation.json",
    ]

    assert main(["export", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"onnx: {folder}/policy.onnx (differs from torch by at most ")
    observation = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = policies.load(folder)(observation)
    assert torch.from_numpy(OnnxPolicy(folder / "policy.onnx")(observation.numpy())) == pytest.approx(
        expected, abs=1e-5
    )

    assert main(["compare", str(folder), str(folder), "--out", "table"]) == 0
    compared = capsys.readouterr()
    assert compared.out.splitlines() == ["table/learning_curves.png", "table/comparison.md"]
    assert compared.err == ""
    assert f"| {algorithm}-quadrotor-hover-seed2 |" in Path("table/comparison.md").read_text()


def test_a_task_without_a_goal_has_no_success_in_any_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ppo", "InvertedPendulum-v5", *TINY, "--out", "goal"]) == 0
    falls = ("--rollout-steps", "64", "--total-steps", "2048")  # long enough for some to fall
    assert main(["train", "ppo", "Hopper-v5", *TINY, *falls, "--out", "none"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "goal", "--episodes", "2"]) == 0
    assert "success_rate 0.000" in capsys.readouterr().out
    assert main(["evaluate", "none", "--episodes", "2"]) == 0
    assert "success" not in capsys.readouterr().out
    assert json.loads(Path("none/evaluation.json").read_text())["success_rate"] is None
    rows = RunFolder.open("none").read_metrics()
    assert not math.isnan(rows[-1]["episode_return"])
    assert all(math.isnan(row["success_rate"]) for row in rows)
