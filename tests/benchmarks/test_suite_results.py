"""What is collected from runs, what is computed from it, and what the report says."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from support.suite_results import final, results

from benchmarks.suite import plots
from benchmarks.suite import report as reporting
from benchmarks.suite.collect import collect, thin
from benchmarks.suite.definition import Suite, SuiteError, Variant, load_suite, suite_names
from benchmarks.suite.estimates import by_group, estimate
from benchmarks.suite.plan import Run, planned_runs
from benchmarks.suite.stored import CurvePoint, read_results, write_results
from hgrpo_control.api.run import train
from hgrpo_control.runs.run_folder import Metrics

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
        finish(run)
    return suite, runs


def finish(run: Run) -> None:
    train(run.config, run.path)
    figures = {"task": HOVER, "episodes": 200, "seed": 1, "success_rate": 0.5 + run.seed / 4, "return_mean": 3.0}
    rest = {"return_std": 1.0, "length_mean": 9.0, "terminated_rate": 0.125, "final_second": {"speed": None}}
    run.folder.evaluation.write_text(json.dumps(figures | rest), encoding="utf-8")


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
    files = sorted(path for path in stored.rglob("*") if path.is_file())
    before = [path.read_bytes() for path in files]
    shutil.rmtree(runs[1].path)  # as if another machine had made it
    again = collect(suite, tmp_path / "runs", stored)
    assert again.missing == [runs[-1].label]
    assert [path.read_bytes() for path in files] == before
    changed = dataclasses.replace(suite.variants[1], options=(*suite.variants[1].options, "--gamma", "0.9"))
    shutil.rmtree(tmp_path / "runs")
    other = dataclasses.replace(suite, variants=(suite.variants[0], changed))
    finish(planned_runs(other, tmp_path / "runs")[0])
    with pytest.raises(SuiteError, match="holds results of quadrotor-hover/b/seed0 with other options"):
        collect(other, tmp_path / "runs", stored)
    assert [path.read_bytes() for path in files] == before


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


@pytest.mark.parametrize("name", suite_names())
def test_groups_of_a_suite_have_colours_of_their_own(name: str) -> None:
    assert len(by_group(load_suite(name).variants)) <= len(set(plots.COLORS))
