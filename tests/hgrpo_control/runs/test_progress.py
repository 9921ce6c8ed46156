"""The progress bar: one line that fits a terminal of 80 columns."""

from __future__ import annotations

import io
import math

from rich.console import Console

import robots
from hgrpo_control.config.algorithms import PPO, HybridGRPO
from hgrpo_control.config.run import Config
from hgrpo_control.runs.progress import ProgressBar
from hgrpo_control.runs.run_folder import Metrics

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
