"""Estimates over seeds and tasks: interquartile means, probabilities of improvement, intervals."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
from support.suite_results import final, results

from benchmarks.suite.estimates import ALL_TASKS, estimate, score_matrix
from benchmarks.suite.intervals import (
    Interval,
    interquartile_mean,
    interquartile_means,
    probability_of_improvement,
)

needs_rliable = pytest.mark.skipif(
    importlib.util.find_spec("rliable") is None,
    reason="intervals need the extra `bench`: pip install -c constraints.txt -e '.[bench]'",
)


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
