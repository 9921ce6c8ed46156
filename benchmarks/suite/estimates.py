"""Estimates from stored figures: interquartile means per variant and task, and probabilities of improvement."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.suite.definition import Variant
from benchmarks.suite.intervals import Interval, improvements, interquartile_means
from benchmarks.suite.stored import Final, Results

ALL_TASKS = "all tasks"


@dataclass(frozen=True)
class Estimates:
    """Point estimates with intervals; a quantity without data has no entry."""

    success: dict[tuple[str, str], Interval]
    """Interquartile mean of the success rate for (task, variant); the task may be ALL_TASKS."""
    returns: dict[tuple[str, str], Interval]
    """Interquartile mean of the return for (task, variant)."""
    improvements: dict[tuple[str, tuple[str, str], str], Interval]
    """P(X > Y) for (task, (X, Y), measure); the task may be ALL_TASKS, the measure is one of the suite's."""
    speeds: dict[tuple[str, str], Interval]
    """Interquartile mean of the simulator steps per second for (task, variant)."""


def estimate(results: Results) -> Estimates:
    """Every estimate that the stored runs allow.

    A figure over all tasks needs a variant that has runs on all of them, and takes the seeds finished on each. A task
    without a goal has no success: nothing is estimated from it, and nothing over all tasks if one of them is such.
    """
    success: dict[tuple[str, str], Interval] = {}
    returns: dict[tuple[str, str], Interval] = {}
    better: dict[tuple[str, tuple[str, str], str], Interval] = {}
    speeds: dict[tuple[str, str], Interval] = {}
    suite, finals = results.suite, results.finals
    for variant in suite.variants:
        name = variant.name
        for tasks in _alike(finals, name, suite.tasks):  # one bootstrap for all tasks that have the same seeds
            figures = (*suite.measures, "steps_per_second")
            scores = [score_matrix(finals, name, tasks, figure) for figure in figures]
            *means, over_all = interquartile_means(np.hstack(scores), pooled=len(tasks))
            found = {figure: means[i * len(tasks) : (i + 1) * len(tasks)] for i, figure in enumerate(figures)}
            for figure, kept in {"success_rate": success, "return_mean": returns, "steps_per_second": speeds}.items():
                kept |= {(task, name): mean for task, mean in zip(tasks, found.get(figure, ()), strict=False)}
            if tasks == suite.tasks and len(tasks) > 1 and suite.measures[0] == "success_rate":
                success[ALL_TASKS, name] = over_all
        common = score_matrix(finals, name, suite.tasks, "success_rate")
        pooled = len(suite.tasks) > 1 and len(common) and suite.measures[0] == "success_rate"
        if pooled and (ALL_TASKS, name) not in success:
            success[ALL_TASKS, name] = interquartile_means(common, pooled=len(suite.tasks))[-1]
    for columns, label in _columns(suite.tasks):
        for pair, measure in itertools.product(suite.comparisons, suite.measures):
            x, y = (score_matrix(finals, name, columns, measure) for name in pair)
            if len(x) and len(y) and not (np.isnan(x).any() or np.isnan(y).any()):
                better[label, pair, measure] = improvements(x, y)[-1]
    success = {key: interval for key, interval in success.items() if not math.isnan(interval.value)}
    return Estimates(success, returns, better, speeds)


def score_matrix(finals: Sequence[Final], variant: str, tasks: Sequence[str], measure: str) -> np.ndarray:
    """(seeds, tasks) scores of a variant, for the seeds that are finished on every one of the tasks."""
    scores = {(f.task, f.seed): getattr(f, measure) for f in finals if f.variant == variant}
    seeds = sorted({seed for _, seed in scores})
    complete = [seed for seed in seeds if all((task, seed) in scores for task in tasks)]
    return np.array([[scores[task, seed] for task in tasks] for seed in complete]).reshape(-1, len(tasks))


def by_group(variants: Sequence[Variant]) -> dict[str, list[Variant]]:
    """Variants of each group, groups in the order in which they first appear."""
    groups: dict[str, list[Variant]] = {}
    for variant in variants:
        groups.setdefault(variant.group or variant.algorithm, []).append(variant)
    return groups


def _columns(tasks: Sequence[str]) -> list[tuple[tuple[str, ...], str]]:
    """Each task alone, and all of them where there are several."""
    alone: list[tuple[tuple[str, ...], str]] = [((task,), task) for task in tasks]
    return [*alone, (tuple(tasks), ALL_TASKS)] if len(tasks) > 1 else alone


def _alike(finals: Sequence[Final], variant: str, tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """The tasks a variant has runs of, those that have the same seeds together."""
    together: dict[frozenset[int], tuple[str, ...]] = {}
    for task in tasks:
        seeds = frozenset(f.seed for f in finals if (f.task, f.variant) == (task, variant))
        together[seeds] = (*together.get(seeds, ()), task)
    return [group for seeds, group in together.items() if seeds]
