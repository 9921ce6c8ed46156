"""Loggers: contradictions are refused; wandb and mlflow get settings, curves and evaluations without a network."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny_runs import TINY

from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.run import Config
from hgrpo_control.runs.loggers import log_evaluation, loggers_of, make_loggers
from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_control.runs.tensorboard import tagged


def needs(package: str) -> pytest.MarkDecorator:
    absent = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(absent, reason=f"{package} is not here: pip install -c constraints.txt '.[{package}]'")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("WANDB", "MLFLOW")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")  # restored afterwards, as it is set by the logger too
    return RunFolder.create("runs/a", Config("quadrotor-hover", PPO(gamma=0.987)))


def row(iteration: int) -> Metrics:
    row = {"iteration": iteration, "executed_steps": 100 * iteration, "simulator_steps": 400 * iteration}
    return row | {"wall_seconds": 1.0, "episode_return": 2.5 * iteration, "success_rate": math.nan, "policy_loss": 0.5}


def write(name: str, folder: RunFolder) -> None:
    (logger,) = make_loggers([name], folder)
    for iteration in (1, 2):
        folder.append_metrics(row(iteration))
        logger.report(row(iteration))
    logger.close()


def test_tags_are_grouped_without_what_was_not_measured() -> None:
    tags = tagged(row(1))
    assert tags["charts/episode_return"] == 2.5
    assert tags["losses/policy_loss"] == 0.5
    assert not [tag for tag in tags if "success_rate" in tag or "simulator_steps" in tag]
    assert tagged({"return_mean": 1.0}, "evaluation") == {"evaluation/return_mean": 1.0}


@pytest.mark.parametrize("command", ["train ppo quadrotor-hover", "resume runs/a"])
def test_loggers_that_contradict_each_other_are_refused(
    command: str, complaint: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # other tests may write into the present folder
    assert "--log none contradicts --log tensorboard" in complaint(
        *command.split(), "--log", "none", "--log", "tensorboard"
    )
    assert "did you mean 'tensorboard'?" in complaint(*command.split(), "--log", "tensorbord")


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_that_is_not_installed_is_named_with_its_extra(
    name: str, complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == name else found(asked))
    assert f".[{name}]" in complaint("train", "ppo", "quadrotor-hover", "--log", name)


def test_a_run_without_loggers_has_metrics_only(folder: RunFolder) -> None:
    assert main(["train", "ppo", "quadrotor-hover", *TINY, "--log", "none", "--out", "runs/b"]) == 0
    assert {path.name for path in Path("runs/b").iterdir()} == {"config.json", "metrics.csv", "checkpoint.pt"}
    assert loggers_of(RunFolder("runs/b")) == []


@needs("wandb")
def test_wandb_writes_offline_into_the_run_folder(folder: RunFolder) -> None:
    write("wandb", folder)
    log_evaluation(folder, {"return_mean": 7.0}, 800)
    assert loggers_of(folder) == ["wandb"]
    written = sorted(folder.path.glob("wandb/offline-run-*/*.wandb"))
    identity = folder.wandb.read_text().strip()
    assert written
    assert all(identity in path.name for path in written)
    content = b"".join(path.read_bytes() for path in written)
    for word in (
        b"charts/episode_return",
        b"losses/policy_loss",
        b"evaluation/return_mean",
        b"algorithm.gamma",
        b"0.987",
    ):
        assert word in content
    assert b"charts/success_rate" not in content


@needs("mlflow")
@pytest.mark.filterwarnings("ignore:.*filesystem tracking backend:FutureWarning")
def test_mlflow_writes_into_a_folder_beside_the_run(folder: RunFolder) -> None:
    write("mlflow", folder)
    log_evaluation(folder, {"return_mean": 7.0}, 800)
    assert loggers_of(folder) == ["mlflow"]
    from mlflow import MlflowClient

    client = MlflowClient(Path("runs/mlruns").resolve().as_uri())
    run = client.get_run(folder.mlflow.read_text().strip())
    assert run.info.run_name == "a"
    assert run.info.status == "FINISHED"
    assert run.data.params["algorithm.gamma"] == "0.987"
    curve = client.get_metric_history(run.info.run_id, "charts/episode_return")
    assert [(point.step, point.value) for point in curve] == [(400, 2.5), (800, 5.0)]
    assert run.data.metrics["evaluation/return_mean"] == 7.0
