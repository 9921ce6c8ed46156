"""TensorBoard files, read back by TensorBoard's own reader."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hgrpo_control.cli import main
from hgrpo_control.config.algorithms import PPO
from hgrpo_control.config.run import Config
from hgrpo_control.runs.loggers import log_evaluation
from hgrpo_control.runs.run_folder import Metrics, RunFolder
from hgrpo_control.runs.tensorboard import GROUPS, TensorBoard

CONFIG = Config(task="quadrotor-hover", algorithm=PPO(gamma=0.987))
TINY = ("--num-envs", "16", "--rollout-steps", "8", "--hidden-sizes", "8", "--update-epochs", "1")
TINY += ("--num-minibatches", "2", "--total-steps", "256")


def row(iteration: int, episode_return: float = math.nan, success: float = math.nan) -> Metrics:
    return {
        "iteration": iteration,
        "executed_steps": 100 * iteration,
        "simulator_steps": 400 * iteration,
        "episode_return": episode_return,
        "success_rate": success,
        "policy_loss": 0.5,
        "of_my_own": 7.0,
    }


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", CONFIG)


def events(folder: RunFolder) -> EventAccumulator:
    found = EventAccumulator(str(folder.tensorboard))
    found.Reload()
    return found


def scalars(folder: RunFolder) -> dict[str, list[tuple[int, float]]]:
    found = events(folder)
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]  # type: ignore[union-attr]
    }


def test_curves_are_grouped_and_run_over_simulator_steps_where_something_was_measured(folder: RunFolder) -> None:
    board = TensorBoard(folder)
    board.report(row(1))
    board.report(row(2, 151.25, 0.5))
    board.close()
    assert scalars(folder) == {
        "charts/episode_return": [(800, 151.25)],
        "charts/success_rate": [(800, 0.5)],
        "charts/of_my_own": [(400, 7.0), (800, 7.0)],
        "losses/policy_loss": [(400, 0.5), (800, 0.5)],
        "time/iteration": [(400, 1.0), (800, 2.0)],
        "time/executed_steps": [(400, 100.0), (800, 200.0)],
    }


def test_settings_are_a_table(folder: RunFolder) -> None:
    board = TensorBoard(folder)
    board.report(row(1))
    board.close()
    (event,) = events(folder).Tensors("settings/text_summary")
    (text,) = event.tensor_proto.string_val
    assert "| algorithm.gamma | 0.987 |" in text.decode().splitlines()
    assert "| task | quadrotor-hover |" in text.decode().splitlines()


def test_a_resumed_run_draws_over_what_came_after_its_checkpoint(folder: RunFolder) -> None:
    crashed = TensorBoard(folder)
    for iteration in (1, 2, 3):
        crashed.report(row(iteration, 10.0))
    crashed.close()
    time.sleep(1.0)  # files are read in the order of the seconds in their names
    resumed = TensorBoard(folder, simulator_steps=800)  # the checkpoint is that of iteration 2
    for iteration in (3, 4):
        resumed.report(row(iteration, 20.0))
    resumed.close()
    expected = [(400, 10.0), (800, 10.0), (1200, 20.0), (1600, 20.0)]
    assert scalars(folder)["charts/episode_return"] == expected


def test_no_file_appears_before_there_is_something_to_write(folder: RunFolder) -> None:
    TensorBoard(folder).close()
    assert not folder.tensorboard.exists()


def test_an_evaluation_of_a_run_without_curves_writes_none(folder: RunFolder) -> None:
    log_evaluation(folder, {"return_mean": 1.0}, 100)
    assert not folder.tensorboard.exists()


@pytest.mark.slow
def test_commands_log_training_and_the_run_s_own_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "ppo", "quadrotor-hover", *TINY, "--out", "run"]) == 0
    assert main(["evaluate", "run", "--episodes", "2"]) == 0
    folder = RunFolder("run")
    found = scalars(folder)
    assert [step for step, _ in found["evaluation/return_mean"]] == [256]
    assert "evaluation/success_rate" in found
    assert "evaluation/final_second" not in found
    assert [step for step, _ in found["losses/policy_loss"]] == [128, 256]
    trained = {name for name in found if not name.startswith("evaluation/")}
    assert trained <= {f"{group}/{name}" for group, names in GROUPS.items() for name in names}
    assert main(["evaluate", "run", "--episodes", "2", "--difficulty", "0.5"]) == 0
    assert len(scalars(folder)["evaluation/return_mean"]) == 1
