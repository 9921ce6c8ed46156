"""What is collected from runs, what is computed from it, and what the report says."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.suite import plots
from benchmarks.suite import report as reporting
from benchmarks.suite.collect import collect, thin
from benchmarks.suite.definition import Suite, SuiteError, Variant
from benchmarks.suite.estimates import ALL_TASKS, estimate, score_matrix
from benchmarks.suite.intervals import (
    Interval,
    interquartile_mean,
    interquartile_means,
    probability_of_improvement,
)
from benchmarks.suite.plan import Run, planned_runs
from benchmarks.suite.stored import CurvePoint, Final, Results, read_results, write_results
from hgrpo_control.runs.run_folder import Metrics
from hgrpo_control.training.train import train

pytestmark = pytest.mark.slow

HOVER = "quadrotor-hover"
OPTIONS = "--num-envs 4 --rollout-steps 4 --num-minibatches 1 --update-epochs 1 --hidden-sizes 8 --total-steps 32"

needs_rliable = pytest.mark.skipif(
    importlib.util.find_spec("rliable") is None,
    reason="intervals need the extra `bench`: pip install -c constraints.txt -e '.[bench]'",
)


def row(iteration: int, episode_return: float = math.nan, success: float = math.nan) -> Metrics:
    """Metrics of an iteration of 10 executed and 40 simulator steps and a quarter of a second."""
    counters = {"iteration": iteration, "executed_steps": 10 * iteration, "simulator_steps": 40 * iteration}
    measures = {"wall_seconds": 0.25 * iteration, "episode_return": episode_return, "success_rate": success}
    return counters | measures


def final(task: str, variant: str, seed: int, success: float, episode_return: float = 0.0) -> Final:
    return Final(task, variant, "ppo", seed, 10, 40, 1.5, 200, success, episode_return, 1.0, 50.0, 1.0 - success)


def results(finals: list[Final], tasks: tuple[str, ...] = ("t",), **changes: Any) -> Results:
    """Results of the variants that occur in `finals`, with a curve of two points for each run."""
    variants = tuple(Variant(name, "ppo") for name in dict.fromkeys(f.variant for f in finals))
    fields: dict[str, Any] = {"name": "trial", "title": "Trial", "tasks": tasks, "variants": variants, "seeds": (0,)}
    curves = {
        task: [
            CurvePoint(f.variant, f.seed, 5 * k, 20 * k, 0.75 * k, f.return_mean * k, f.success_rate / 2 * k)
            for f in finals
            if f.task == task
            for k in (1, 2)
        ]
        for task in tasks
    }
    return Results(Suite(**(fields | changes)), finals, curves, [], [], {})


def test_a_curve_is_thinned_to_means_over_equal_stretches() -> None:
    # Six iterations into three points: pairs (1, 2), (3, 4), (5, 6). Only iteration 4 of the second pair had an episode
    # that ended, and none of the first.
    rows = [row(1), row(2), row(3), row(4, 8.0, 0.5), row(5, 2.0, 0.25), row(6, 4.0, 0.75)]
    first, second, third = thin("a", 7, rows, points=3)
    assert (first.executed_steps, first.simulator_steps, first.wall_seconds) == (20, 80, 0.5)
    assert math.isnan(first.episode_return)
    assert math.isnan(first.success_rate)
    assert second == CurvePoint("a", 7, 40, 160, 1.0, 8.0, 0.5)
    assert third == CurvePoint("a", 7, 60, 240, 1.5, 3.0, 0.5)


@pytest.mark.parametrize(("iterations", "points"), [(1, 1), (23, 23), (24, 24), (25, 24), (1000, 24)])
def test_a_thinned_curve_ends_where_the_run_does(iterations: int, points: int) -> None:
    curve = thin("a", 0, [row(i + 1, 1.0, 0.0) for i in range(iterations)])
    assert (len(curve), curve[-1].executed_steps) == (points, 10 * iterations)


def test_stored_results_are_read_back(tmp_path: Path) -> None:
    stored = results([final("t", "a", 0, 0.875, -12.5), final("t", "b", 3, 0.0)], comparisons=(("a", "b"),))
    stored.curves["t"][0] = stored.curves["t"][0]._replace(success_rate=math.nan)
    write_results(stored, tmp_path)
    assert "a,0,5,20,0.75,-12.5,\n" in (tmp_path / "curves" / "t.csv").read_text(encoding="utf-8")
    read = read_results(tmp_path)
    assert (read.suite, read.finals) == (stored.suite, stored.finals)
    assert math.isnan(read.curves["t"][0].success_rate)
    assert read.curves["t"][1:] == stored.curves["t"][1:]


def test_stored_results_of_another_form_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"no results at .*origin.json is missing"):
        read_results(tmp_path)
    write_results(results([final("t", "a", 0, 1.0)]), tmp_path)
    (tmp_path / "runs.csv").write_text("task,variant\n", encoding="utf-8")
    with pytest.raises(SuiteError, match=r"runs.csv has the columns task, variant; expected task, variant, algorithm"):
        read_results(tmp_path)


def test_files_of_a_large_suite_stay_small(tmp_path: Path) -> None:
    tasks = ("quadrotor-hidden-wind-and-payload", "quadrotor-b", "quadrotor-c")
    names = [f"hybrid-grpo-lambda0.95-epochs10-lr{i:04}" for i in range(30)]
    big = results([final(t, n, s, 1 / 3, 123.456789) for t in tasks for n in names for s in range(5)], tasks)
    for task in tasks:
        points = [row(i, 123.456789, 1 / 3) for i in range(1_000_000, 1_000_024)]
        big.curves[task][:] = [point for n in names for s in range(5) for point in thin(n, s, points)]
    write_results(big, tmp_path)
    sizes = {path.name: path.stat().st_size for path in tmp_path.rglob("*.*")}
    assert len(sizes) == 5
    assert max(sizes.values()) < 400_000, sizes


@pytest.mark.parametrize(
    ("scores", "mean"),
    [
        # 8 values: two off either end; (3 + 4 + 5 + 6) / 4.
        ([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 4.5),
        # 5 values: int(1.25) = 1 off either end; (0.5 + 0.6 + 0.7) / 3.
        ([0.0, 0.5, 0.7, 0.6, 1.0], 0.6),
        # 3 values: none; (0 + 0.5 + 1) / 3.
        ([1.0, 0.0, 0.5], 0.5),
    ],
)
def test_interquartile_mean(scores: list[float], mean: float) -> None:
    assert interquartile_mean(np.array(scores)) == pytest.approx(mean)


def test_probability_of_improvement() -> None:
    # First column: 3 > 1, 3 < 4, 5 > 1, 5 > 4: 3 of 4. Second: 2 = 2 and 2 > 1 twice each: (2 / 2 + 2) / 4.
    x, y = np.array([[3.0, 2.0], [5.0, 2.0]]), np.array([[1.0, 2.0], [4.0, 1.0]])
    np.testing.assert_allclose(probability_of_improvement(x, y), [0.75, 0.75])
    np.testing.assert_allclose(probability_of_improvement(y, x), [0.25, 0.25])
    np.testing.assert_allclose(probability_of_improvement(x, x), [0.5, 0.5])


@needs_rliable
def test_estimates_are_those_of_rliable() -> None:
    from rliable import metrics

    random = np.random.default_rng(0)
    for runs in (3, 4, 5, 10):
        x, y = random.integers(0, 5, (runs, 3)) / 4, random.integers(0, 5, (4, 3)) / 4
        assert interquartile_mean(x.ravel()) == pytest.approx(metrics.aggregate_iqm(x))
        assert probability_of_improvement(x, y).mean() == pytest.approx(metrics.probability_of_improvement(x, y))


@needs_rliable
def test_intervals_hold_the_estimate_and_are_the_same_each_time() -> None:
    scores = np.array([[0.1, 1.0], [0.2, 1.0], [0.4, 1.0], [0.8, 1.0], [0.9, 1.0]])
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr,index]  # noqa: NPY002
    first, constant, pooled = interquartile_means(scores, pooled=2)
    assert first.low < first.value < first.high
    assert (first.low, first.high) >= (0.1, 0.2)
    assert constant == Interval(1.0, 1.0, 1.0)
    # Ten values, int(2.5) = 2 off either end: (0.4 + 0.8 + 0.9 + 1 + 1 + 1) / 6.
    assert pooled.value == pytest.approx(0.85)
    assert interquartile_means(scores, pooled=2) == [first, constant, pooled]
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]  # noqa: NPY002


def test_a_single_run_has_no_interval() -> None:
    (value, low, high), _ = interquartile_means(np.array([[0.3]]), pooled=1)
    assert value == 0.3
    assert math.isnan(low)
    assert math.isnan(high)


def test_scores_over_tasks_take_the_seeds_that_are_finished_on_each() -> None:
    finals = [final("t", "a", 2, 0.2), final("t", "a", 0, 0.1), final("u", "a", 2, 0.4), final("u", "b", 0, 0.9)]
    np.testing.assert_array_equal(score_matrix(finals, "a", ("t",), "success_rate"), [[0.1], [0.2]])
    np.testing.assert_array_equal(score_matrix(finals, "a", ("t", "u"), "success_rate"), [[0.2, 0.4]])
    assert score_matrix(finals, "b", ("t", "u"), "success_rate").shape == (0, 2)


def test_estimates_are_made_where_there_are_runs() -> None:
    finals = [final("t", "a", 0, 0.5, 7.0), final("u", "a", 0, 0.7, 9.0), final("t", "b", 0, 0.25)]
    estimates = estimate(results(finals, ("t", "u"), comparisons=(("a", "b"),)))
    success = {key: interval.value for key, interval in estimates.success.items()}
    assert success == {("t", "a"): 0.5, ("u", "a"): 0.7, (ALL_TASKS, "a"): pytest.approx(0.6), ("t", "b"): 0.25}
    assert estimates.returns["u", "a"].value == 9.0
    assert {key: interval.value for key, interval in estimates.improvements.items()} == {
        ("t", ("a", "b"), "success_rate"): 1.0,
        ("t", ("a", "b"), "return_mean"): 1.0,
    }


def test_a_task_without_a_goal_has_no_success_to_estimate() -> None:
    finals = [final("t", "a", 0, 0.5, 7.0), final("run", "a", 0, math.nan, 9.0), final("u", "a", 0, 0.25, 1.0)]
    finals += [final("t", "b", 0, 0.25, 8.0), final("run", "b", 0, math.nan, 3.0), final("u", "b", 0, 0.5, 0.0)]
    estimates = estimate(results(finals, ("t", "run", "u"), comparisons=(("a", "b"),)))
    assert {key for key in estimates.success if key[1] == "a"} == {("t", "a"), ("u", "a")}
    assert estimates.returns["run", "a"].value == 9.0
    # By return a wins on run and on u, not on t.
    better = {key[0::2]: interval.value for key, interval in estimates.improvements.items()}
    assert ("run", "success_rate") not in better
    assert better["run", "return_mean"] == 1.0
    assert better[ALL_TASKS, "return_mean"] == pytest.approx(2 / 3)
    assert better["t", "success_rate"] == 1.0
    assert (ALL_TASKS, "success_rate") not in better


def test_a_suite_of_tasks_without_goals_reports_returns_alone(tmp_path: Path) -> None:
    finals = [final("run", "a", 0, math.nan, 7.0), final("run", "b", 0, math.nan, 9.0)]
    finals = [f._replace(terminated_rate=0.0) for f in finals]
    stored = results(finals, ("run",), comparisons=(("a", "b"),))
    estimates = estimate(stored)
    assert estimates.success == {}
    pictures = reporting._draw(stored, estimates, tmp_path)
    assert set(pictures) == {"return", "improvement", "run episode_return"}
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in pictures.values()}
    text = reporting._markdown(stored, estimates, pictures)
    assert "nan" not in text
    line = next(line for line in text.splitlines() if line.startswith("| ppo") and "| b " in line)
    assert [cell.strip() for cell in line.split("|")[4:7]] == ["-", "-", "9.0"]


def test_a_curve_is_drawn_where_every_seed_has_a_figure() -> None:
    points = [
        CurvePoint("a", seed, 10 * k, 40 * k, k + seed, 0.0, math.nan if (seed, k) == (1, 1) else seed + k)
        for seed in (0, 1)
        for k in (1, 2, 3)
    ]
    curve = plots.aligned(points, "a", "success_rate")
    np.testing.assert_array_equal(curve["y"], [[2, 3], [3, 4]])
    np.testing.assert_array_equal(curve["executed_steps"], [20, 30])
    np.testing.assert_array_equal(curve["wall_seconds"], [2.5, 3.5])


def finished(root: Path, names: tuple[str, ...] = ("a", "b")) -> tuple[Suite, list[Run]]:
    """Two runs of two iterations with an evaluation written by hand, and one that is missing."""
    variants = tuple(Variant(name, "ppo", tuple(OPTIONS.split())) for name in names)
    suite = Suite("trial", "Trial", (HOVER,), variants, (0, 1), comparisons=((names[0], names[-1]),))
    runs = planned_runs(suite, root)
    for run in runs[:-1]:
        train(run.config, run.path)
        figures = {"task": HOVER, "episodes": 200, "seed": 1, "success_rate": 0.5 + run.seed / 4, "return_mean": 3.0}
        rest = {"return_std": 1.0, "length_mean": 9.0, "terminated_rate": 0.125, "final_second": {"speed": None}}
        run.folder.evaluation.write_text(json.dumps(figures | rest), encoding="utf-8")
    return suite, runs


@needs_rliable
def test_the_report_from_the_stored_files_says_what_the_runs_did(tmp_path: Path) -> None:
    suite, runs = finished(tmp_path / "runs")
    stored = tmp_path / "stored"
    collect(suite, tmp_path / "runs", stored)
    shutil.rmtree(tmp_path / "runs")
    written = reporting.report(stored)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written[1:])
    assert {path.name for path in written} >= {"success.png", "return.png", "improvement.png"}
    text = written[0].read_text(encoding="utf-8")
    assert f"**1 of 4 runs are missing:** {runs[-1].label}." in text
    assert "3 runs without a record of their origin" in text
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    # a: seeds 0.5 and 0.75, so a mean of 0.625, and resampled 0.5 and 0.75 at the ends. b: seed 0 alone, 0.5.
    rows = {line[1]: line[2:7] for line in lines if line[0] == "ppo"}
    assert rows["a"] == ["2", "0.625 [0.500, 0.750]", "0.500 ... 0.750", "3.0 [3.0, 3.0]", "0.125"]
    assert rows["b"] == ["1", "0.500", "0.500 ... 0.500", "3.0", "0.125"]
    # Runs of a against the run of b: one tie, one win; (1 / 2 + 1) / 2.
    assert ["a", "b", "success", "0.75"] in lines
    assert ["a", "b", "return", "0.50"] in lines  # all returns are equal
    for line in text.splitlines():
        if line.startswith("!["):
            assert (stored / line.partition("](")[2].rstrip(")")).exists()


def test_a_report_without_rliable_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_results(results([final("t", "a", 0, 1.0)]), tmp_path)
    monkeypatch.setitem(sys.modules, "rliable.library", None)
    with pytest.raises(SuiteError, match=r"reports need the extra `bench`: pip install -c constraints.txt"):
        reporting.report(tmp_path)
    assert not (tmp_path / "report.md").exists()


def test_collected_results_are_not_lost(tmp_path: Path) -> None:
    suite, runs = finished(tmp_path / "runs")
    stored = tmp_path / "stored"
    collected = collect(suite, tmp_path / "runs", stored)
    assert collected.missing == [runs[-1].label]
    assert [(f.variant, f.seed, f.simulator_steps) for f in collected.finals] == [
        ("a", 0, 32),
        ("a", 1, 32),
        ("b", 0, 32),
    ]
    shutil.rmtree(runs[1].path)
    before = (stored / "runs.csv").read_text(encoding="utf-8")
    with pytest.raises(SuiteError, match="holds results of quadrotor-hover/b/seed0, which is not finished here"):
        collect(suite, tmp_path / "runs", stored)
    assert (stored / "runs.csv").read_text(encoding="utf-8") == before
    (stored / "origin.json").unlink()
    assert len(collect(suite, tmp_path / "runs", stored).finals) == 2


def test_every_picture_is_drawn_for_groups_single_runs_and_missing_tasks(tmp_path: Path) -> None:
    finals = [final(t, f"v{i}", 0, i / 10, i) for t in ("t", "u") for i in range(9) if (t, i) != ("u", 3)]
    drawn = results(finals, ("t", "u"), comparisons=(("v0", "v1"),))
    estimates = estimate(drawn)
    pictures = [tmp_path / f"{name}.png" for name in ("success", "improvement", "curves")]
    plots.final_scores(drawn, estimates.success, "success_rate", "success rate", pictures[0])
    plots.improvement(drawn, estimates.improvements, pictures[1])
    plots.learning_curves(drawn, "u", "success_rate", "success rate", pictures[2])
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
