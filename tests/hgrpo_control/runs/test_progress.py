"""What is shown while training: one line of text, and curves that are not drawn twice after a crash."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import robots
from hgrpo_control.config.algorithms import PPO, HybridGRPO
from hgrpo_control.config.run import Config
from hgrpo_control.runs.progress import ProgressBar, TensorBoard
from hgrpo_control.runs.run_folder import Metrics, RunFolder

CONFIG = Config(task="quadrotor-hover", algorithm=PPO(), total_steps=4 * 512 * 64)


def row(
    iteration: int, episode_return: float = math.nan, success: float = math.nan, speed: float = 12_345.0
) -> Metrics:
    return {
        "iteration": iteration,
        "executed_steps": 100 * iteration,
        "simulator_steps": 400 * iteration,
        "episode_return": episode_return,
        "success_rate": success,
        "simulator_steps_per_second": speed,
    }


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", CONFIG)


def shown(*rows: Metrics, config: Config = CONFIG) -> tuple[str, str]:
    """The name of the run and the last line that the bar leaves on a terminal 80 columns wide."""
    console = Console(file=io.StringIO(), width=80)
    with ProgressBar(config, console) as bar:
        for metrics in rows:
            bar.report(metrics)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    lines = text.rstrip("\n").splitlines()
    return lines[0], lines[-1]


def test_the_bar_names_the_run_its_speed_its_return_and_its_success() -> None:
    name, line = shown(row(1, 151.26, 0.5))
    assert name == "ppo quadrotor-hover"
    for part in ("12.3k steps/s", "return 151.3", "success 50%", "left"):
        assert part in line


def test_the_bar_fits_80_columns_with_the_longest_names_and_figures() -> None:
    longest = max(robots.names(), key=len)
    config = Config(task=longest, algorithm=HybridGRPO(), total_steps=4 * 512 * 64)
    name, line = shown(row(1, -12_345.67, 1.0, speed=9_876_543.0), config=config)
    assert name == f"hybrid-grpo {longest}"
    assert len(line) <= 80
    assert "…" not in line
    for part in ("9876.5k steps/s", "return -12345.7", "success 100%", "left"):
        assert part in line


def test_a_task_without_a_goal_shows_no_success() -> None:
    _, line = shown(row(1, 151.26))
    assert "return 151.3" in line
    assert "success" not in line
    assert "nan" not in line


def test_return_and_success_stay_while_no_episode_ends() -> None:
    _, line = shown(row(1, 151.26, 0.5), row(2, speed=1000.0))
    assert "1.0k steps/s return 151.3 success 50%" in line


def test_nothing_measured_is_not_shown_as_a_number() -> None:
    assert "nan" not in shown(row(1))[1]


def test_the_bar_is_full_at_the_end_of_the_run() -> None:
    with ProgressBar(CONFIG, Console(file=io.StringIO())) as bar:
        for iteration in range(1, CONFIG.num_iterations + 1):
            bar.report(row(iteration))
        assert bar._progress.finished
    assert CONFIG.num_iterations == 4


def scalars(folder: RunFolder, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder.tensorboard))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)] if name in events.Tags()["scalars"] else []


def test_curves_run_over_executed_steps_and_leave_gaps_where_nothing_was_measured(folder: RunFolder) -> None:
    board = TensorBoard(folder)
    board.report(row(1))
    board.report(row(2, 151.25, 0.5))
    board.close()
    assert scalars(folder, "simulator_steps") == [(100, 400.0), (200, 800.0)]
    assert scalars(folder, "episode_return") == [(200, 151.25)]
    assert scalars(folder, "success_rate") == [(200, 0.5)]


def test_a_resumed_run_draws_over_what_came_after_its_checkpoint(folder: RunFolder) -> None:
    crashed = TensorBoard(folder)
    for iteration in (1, 2, 3):
        crashed.report(row(iteration, 10.0))
    crashed.close()
    time.sleep(1.0)  # files are read in the order of the seconds in their names
    resumed = TensorBoard(folder, executed_steps=200)  # the checkpoint is that of iteration 2
    for iteration in (3, 4):
        resumed.report(row(iteration, 20.0))
    resumed.close()
    assert scalars(folder, "episode_return") == [(100, 10.0), (200, 10.0), (300, 20.0), (400, 20.0)]


def test_no_file_appears_before_there_is_something_to_write(folder: RunFolder) -> None:
    TensorBoard(folder).close()
    assert not folder.tensorboard.exists()
