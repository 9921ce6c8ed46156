"""Plots show what they are given: curves where the numbers are, in one colour per label."""

from __future__ import annotations

import math
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

import robots
from hgrpo_control.config.learning import Network
from hgrpo_control.evaluation.evaluate import Recording, evaluate
from hgrpo_control.reports import learning_curves
from hgrpo_control.runs.run_folder import Metrics
from hgrpo_control.training.simulation import policy_spec
from policies.actor_critic import ActorCritic

pytestmark = pytest.mark.slow

BLUE, ORANGE = (31, 119, 180), (255, 127, 14)  # the first two colours of matplotlib's cycle, C0 and C1


def history(values: list[float], seconds: float = 1.0) -> list[Metrics]:
    """One row per value of the return; the success rate is a hundredth of it."""
    rows: list[Metrics] = []
    for index, value in enumerate(values, 1):
        rows.append(
            {
                "iteration": index,
                "executed_steps": 100 * index,
                "simulator_steps": 400 * index,
                "wall_seconds": seconds * index,
                "episode_return": value,
                "success_rate": value / 100.0,
            }
        )
    return rows


def picture(path: Path) -> np.ndarray:
    """(height, width, 3) uint8 of a PNG that must have been written."""
    return np.asarray(imageio.imread(path))[:, :, :3]


def pixels(image: np.ndarray, color: tuple[int, int, int]) -> int:
    """Number of pixels of exactly this colour."""
    return int((image == np.array(color, dtype=np.uint8)).all(axis=2).sum())


def test_learning_curves_are_drawn_in_one_colour_per_label(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    learning_curves.learning_curves({"ppo": [history([1, 5, 9])], "hybrid-grpo": [history([2, 8, 16])]}, path)
    image = picture(path)
    assert image.shape == (650, 1300, 3)  # 13 x 6.5 inches at 100 dots per inch
    assert pixels(image, BLUE) > 100
    assert pixels(image, ORANGE) > 100
    learning_curves.learning_curves({"ppo": [history([1, 5, 9])]}, path)
    assert pixels(picture(path), ORANGE) == 0, "no second label, no second colour"


def test_runs_of_one_label_share_a_colour_and_are_summed_up_by_their_mean(tmp_path: Path) -> None:
    path, single = tmp_path / "two.png", tmp_path / "one.png"
    learning_curves.learning_curves({"ppo": [history([1, 5, 9]), history([3, 7, 11])]}, path)
    learning_curves.learning_curves({"ppo": [history([1, 5, 9])]}, single)
    assert pixels(picture(path), ORANGE) == 0
    assert pixels(picture(path), BLUE) > pixels(picture(single), BLUE), "the mean of several is a broader line"


def test_the_mean_of_two_runs_is_that_of_their_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures = []
    monkeypatch.setattr(learning_curves, "save", lambda figure, path: figures.append(figure))
    learning_curves.learning_curves({"ppo": [history([1, 5, 9]), history([3, 7, 15])]}, tmp_path / "x.png")
    axes = figures[0].axes[0]
    assert axes.get_ylabel() == "episode return (training)"
    (line,) = axes.get_lines()
    x, mean = line.get_data()
    assert (x[0], x[-1]) == (400, 1200)
    # (1 + 3) / 2, half way between 400 and 800 (2 + 6) / 2, (9 + 15) / 2
    assert np.interp([400, 600, 1200], x, mean) == pytest.approx([2.0, 4.0, 12.0], abs=0.05)
    legend = figures[0].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["ppo"]
    assert "95 % bootstrap interval of the mean" in legend.get_title().get_text()
    (band,) = axes.collections  # of two runs: from the lower to the higher, since a quarter of the draws is one of them
    bounds = band.get_paths()[0].get_extents()
    assert (bounds.y0, bounds.y1) == (1.0, 15.0)
    learning_curves.learning_curves({"ppo": [history([1, 5, 9])]}, tmp_path / "x.png")
    assert not figures[1].axes[0].collections
    assert figures[1].legends[0].get_title().get_text() == ""


def test_a_bootstrap_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, (400, 2)) * (1.0, 10.0)
    low, high = learning_curves.bootstrap_interval(values)
    # 400 normal values: mean +- 1.96 s / sqrt(400)
    half = 1.96 * values.std(axis=0) / 20.0
    assert low == pytest.approx(values.mean(axis=0) - half, rel=0.05)
    assert high == pytest.approx(values.mean(axis=0) + half, rel=0.05)


def test_the_three_axes_are_the_two_kinds_of_steps_and_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figures = []
    monkeypatch.setattr(learning_curves, "save", lambda figure, path: figures.append(figure))
    learning_curves.learning_curves({"ppo": [history([10, math.nan, 30], seconds=2.0)]}, tmp_path / "x.png")
    axes = figures[0].axes
    assert [a.get_xlabel() for a in axes[3:]] == ["simulator steps", "executed steps", "wall-clock time [s]"]
    # The second row has no return, so it is left out rather than drawn as a gap.
    lines = [[list(values) for values in a.get_lines()[0].get_data()] for a in axes]
    returns, successes = [10.0, 30.0], [0.1, 0.3]
    columns = [[400.0, 1200.0], [100.0, 300.0], [2.0, 6.0]]
    assert lines == [[x, returns] for x in columns] + [[x, successes] for x in columns]


def test_a_task_without_a_goal_has_no_plot_of_its_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = [{**row, "success_rate": math.nan} for row in history([1, 5, 9])]
    figures = []
    save = learning_curves.save
    monkeypatch.setattr(learning_curves, "save", lambda figure, path: (figures.append(figure), save(figure, path)))
    learning_curves.learning_curves({"ppo": [without]}, tmp_path / "one.png")
    assert picture(tmp_path / "one.png").shape == (325, 1300, 3)
    axes = figures[0].axes
    assert [a.get_xlabel() for a in axes] == ["simulator steps", "executed steps", "wall-clock time [s]"]
    assert axes[0].get_ylabel() == "episode return (training)"
    learning_curves.learning_curves({"ppo": [without], "grpo": [history([2, 4, 8])]}, tmp_path / "both.png")
    assert len(figures[1].axes) == 6  # some run has a success to show


@pytest.mark.parametrize("values", [[math.nan, math.nan], [5.0], [math.nan, 5.0, math.nan]])
def test_a_run_too_young_for_a_curve_gives_a_picture_without_complaint(tmp_path: Path, values: list[float]) -> None:
    learning_curves.learning_curves({"ppo": [history(values)]}, tmp_path / "curves.png")
    assert picture(tmp_path / "curves.png").shape == (650, 1300, 3)


def test_flown_episodes_have_one_panel_per_signal(tmp_path: Path) -> None:
    hover = robots.make("quadrotor-hover")
    policy = ActorCritic(policy_spec(hover.spec, Network((8,)), True), generator=torch.Generator().manual_seed(0))
    _, recording = evaluate(policy, hover, episodes=3, seed=1, record=2)
    learning_curves.flown_episodes(recording, hover.spec.control_hz, tmp_path / "episodes.png")
    image = picture(tmp_path / "episodes.png")
    assert len(recording.signals) == 4
    assert image.shape == (960, 1000, 3)  # 4 x 2.4 inches high
    assert image.std() > 5.0, "not blank"


def test_signals_are_drawn_over_seconds_with_one_line_per_episode_and_component(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figures = []
    monkeypatch.setattr(learning_curves, "save", lambda figure, path: figures.append(figure))
    position = np.arange(5 * 2 * 3, dtype=float).reshape(5, 2, 3)
    position[3:, 1] = np.nan  # the second episode ended earlier
    motors, tilt = np.ones((5, 2, 4)), np.zeros((5, 2, 1))
    signals = {"p [m]": position, "m [1]": motors, "t [deg]": tilt}
    nothing = torch.zeros(2)
    recording = Recording([], torch.ones(5, 2, dtype=torch.bool), signals, nothing, nothing > 0.0)
    learning_curves.flown_episodes(recording, control_hz=50.0, path=tmp_path / "x.png")
    first, second, third = figures[0].axes
    assert [panel.get_ylabel() for panel in (first, second, third)] == ["p [m]", "m [1]", "t [deg]"]
    assert [len(panel.get_lines()) for panel in (first, second, third)] == [6, 8, 2]
    x, y = first.get_lines()[2].get_data()  # second component of the first episode
    assert list(x) == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08])
    assert list(y) == list(position[:, 0, 1])
    labels = [[text.get_text() for text in panel.get_legend().get_texts()] for panel in (first, second)]
    assert labels == [["x", "y", "z"], ["1", "2", "3", "4"]]
    assert third.get_legend() is None
    assert third.get_xlabel() == "time [s]"
