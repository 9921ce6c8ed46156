"""The MuJoCo suite: equal steps for all, suites of other sizes, reports without success, paired speeds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchmarks.suite.definition import Suite, SuiteError, Variant, load_suite
from benchmarks.suite.plan import planned_runs
from benchmarks.suite.report import report
from benchmarks.suite.stored import CurvePoint, Final, Results, write_results

pytestmark = pytest.mark.slow

needs_bench = pytest.mark.skipif(
    importlib.util.find_spec("rliable") is None or importlib.util.find_spec("stable_baselines3") is None,
    reason="reports and speeds need the extra `bench`: pip install -c constraints.txt -e '.[bench]'",
)


def test_every_variant_takes_as_many_steps_but_for_the_last_unfilled_update(tmp_path: Path) -> None:
    suite = load_suite("mujoco").with_total_steps(100_000).with_seeds(10)
    runs = planned_runs(suite, tmp_path)
    assert len(runs) == 5 * 4 * 10
    for run in runs:
        taken = run.config.num_iterations * run.config.steps_per_iteration  # type: ignore[attr-defined]
        assert 100_000 - 2_048 < taken <= 100_000, run.label


def test_a_suite_of_longer_runs_has_a_name_of_its_own() -> None:
    suite = Suite("trial", "Trial", ("a",), (Variant("v", "ppo", ("--total-steps", "5", "--gamma", "1")),), (0,))
    longer = suite.with_total_steps(7)
    assert (longer.name, longer.variants[0].options) == ("trial-7", ("--total-steps", "7", "--gamma", "1"))
    assert suite.with_total_steps(5) is suite
    assert suite.with_seeds(3).seeds == (0, 1, 2)
    assert suite.with_seeds(3).name == "trial"


def test_a_suite_on_a_gpu_has_a_name_of_its_own() -> None:
    suite = Suite("trial", "Trial", ("a",), (Variant("v", "ppo", ("--gamma", "1")),), (0,))
    moved = suite.with_total_steps(7).with_device("cuda:1")
    assert moved.name == "trial-7-cuda-1"
    assert moved.variants[0].options == ("--gamma", "1", "--total-steps", "7", "--device", "cuda:1")
    assert moved.words == "trial --total-steps 7 --device cuda:1"
    assert moved.with_seeds(3).words == "trial --total-steps 7 --device cuda:1 --num-seeds 3"
    assert suite.words == "trial"
    assert suite.with_device("cpu") is suite
    with pytest.raises(SuiteError, match="unknown device 'cuda1'; did you mean 'cuda'"):
        suite.with_device("cuda1")


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(SuiteError, match="suite trial: a measure is named 'return'; did you mean 'return_mean'"):
        Suite("trial", "Trial", ("a",), (Variant("v", "ppo"),), (0,), measures=("return",))


@needs_bench
def test_a_report_without_success_has_speeds_and_returns(tmp_path: Path) -> None:
    suite = Suite(
        "trial",
        "Trial",
        ("t", "u"),
        (Variant("x", "ppo"), Variant("y", "ppo", learner="stable-baselines3")),
        (0, 1),
        comparisons=(("x", "y"),),
        measures=("return_mean",),
    )
    nothing = float("nan")
    # x takes 100 steps in 2 s (seed 0) or 1 s (seed 1), y in 4 s; x returns 3 and 4, y 3 and 2.
    finals = [
        Final(task, name, "ppo", seed, 100, 100, seconds, 20, nothing, returned, 1.0, 9.0, 0.25)
        for task in ("t", "u")
        for name, seed, seconds, returned in (
            ("x", 0, 2.0, 3.0),
            ("x", 1, 1.0, 4.0),
            ("y", 0, 4.0, 3.0),
            ("y", 1, 4.0, 2.0),
        )
    ]
    curve = [CurvePoint(name, seed, 100, 100, 1.0, 1.0, nothing) for name in ("x", "y") for seed in (0, 1)]
    write_results(Results(suite, finals, {"t": curve, "u": curve}, [], [], {}), tmp_path)
    text, *pictures = report(tmp_path)
    assert not any("success" in picture.name for picture in pictures)
    lines = text.read_text(encoding="utf-8").splitlines()
    assert not any("success" in line for line in lines)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    by_variant = {row[1]: row[2:] for row in rows if row[0] == "ppo"}
    assert by_variant["x"] == ["2", "3.5 [3.0, 4.0]", "0.250", "100", "100", "2", "75 [50, 100]"]
    assert by_variant["y"][-1] == "25 [25, 25]"
    # Of four pairs x wins three and ties one: (3 + 1 / 2) / 4.
    better = next(row for row in rows if row[:3] == ["x", "y", "return"])
    assert [cell.partition(" ")[0] for cell in better[3:]] == ["0.88", "0.88", "0.88"]
    assert "| y       | `stable-baselines3 train ppo TASK` |" in "\n".join(lines)


@needs_bench
def test_contestants_take_turns_and_the_first_call_does_not_count() -> None:
    from benchmarks.speed.mujoco_speed import alternate

    calls: list[str] = []

    def work(name: str, done: int) -> int:
        calls.append(name)
        return done

    rates = alternate({"a": lambda: work("a", 1), "b": lambda: work("b", 0)}, seconds=0.001, rounds=2)
    assert (len(rates["a"]), rates["b"]) == (2, [0.0, 0.0])
    assert min(rates["a"]) > 0.0
    turns = [name for i, name in enumerate(calls) if i == 0 or calls[i - 1] != name]
    assert turns == ["a", "b", "a", "b", "a", "b"]  # once each to warm up, then two rounds
