"""Gather the finished runs of a suite into a few small text files."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite.definition import Suite, SuiteError
from benchmarks.suite.origin import describe_origin
from benchmarks.suite.plan import Run, next_step, planned_runs, read_evaluation, require_agreement
from benchmarks.suite.stored import CurvePoint, Final, Results, read_results, write_results
from hgrpo_control.runs.run_folder import Metrics

CURVE_POINTS = 24


def collect(suite: Suite, root: Path, out: Path) -> Results:
    """Write the results of the finished runs under root/SUITE into `out`.

    Unfinished runs are listed there.

    Raises SuiteError if no run is finished, if a run was made with other settings than the suite asks for, or if a
    run that is stored in `out` already would be lost.
    """
    runs = planned_runs(suite, root)
    require_agreement(runs)
    done = [run for run in runs if next_step(run) is None]
    if not done:
        raise SuiteError(f"no run of suite {suite.name} is finished under {root / suite.name}")
    done.sort(key=lambda run: (suite.tasks.index(run.task), suite.variants.index(run.variant)))  # stable: seeds stay
    _require_nothing_lost(runs, done, out)
    curves: dict[str, list[CurvePoint]] = {task: [] for task in suite.tasks}
    for run in done:
        curves[run.task] += thin(run.variant.name, run.seed, run.folder.read_metrics())
    finished = {run.label for run in done}
    missing = [run.label for run in runs if run.label not in finished]
    results = Results(suite, [_final(run) for run in done], curves, missing, _origins(done), describe_origin())
    write_results(results, out)
    return results


def thin(variant: str, seed: int, rows: Sequence[Metrics], points: int = CURVE_POINTS) -> list[CurvePoint]:
    """A learning curve of at most `points` points: stretches of equally many iterations (to within one).

    A stretch has the counters of its last iteration, and the means of return and success over those of its iterations
    in which an episode ended; NaN if there is none.
    """
    stretches = np.array_split(np.arange(len(rows)), min(points, len(rows)))
    return [_point(variant, seed, [rows[i] for i in stretch]) for stretch in stretches]


def _point(variant: str, seed: int, rows: Sequence[Metrics]) -> CurvePoint:
    last = rows[-1]
    episode_return, success = (
        _mean([r.get(name, math.nan) for r in rows]) for name in ("episode_return", "success_rate")
    )
    counters = (int(last["executed_steps"]), int(last["simulator_steps"]), round(last["wall_seconds"], 1))
    return CurvePoint(variant, seed, *counters, episode_return, success)


def _mean(values: Sequence[float]) -> float:
    measured = [value for value in values if not math.isnan(value)]
    return sum(measured) / len(measured) if measured else math.nan


def _final(run: Run) -> Final:
    last, figures = run.folder.read_metrics()[-1], read_evaluation(run)
    assert figures is not None
    measures = ("episodes", "success_rate", "return_mean", "return_std", "length_mean", "terminated_rate")
    counters = (int(last["executed_steps"]), int(last["simulator_steps"]), last["wall_seconds"])
    measured: list[Any] = [math.nan if figures[measure] is None else figures[measure] for measure in measures]
    return Final(run.task, run.variant.name, run.variant.algorithm, run.seed, *counters, *measured)


def _origins(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Distinct origins of the processes that worked on runs, with their number."""
    counts: Counter[str] = Counter()
    for run in runs:
        if not run.origin.exists():
            counts["{}"] += 1
            continue
        for line in run.origin.read_text(encoding="utf-8").splitlines():
            try:
                origin = json.loads(line)
            except ValueError as error:
                raise SuiteError(f"{run.origin} holds a line that is not JSON: {error}") from error
            kept = {key: value for key, value in origin.items() if key not in ("command", "started")}
            counts[json.dumps(kept, sort_keys=True)] += 1
    return [json.loads(text) | {"processes": count} for text, count in counts.items()]


def _require_nothing_lost(runs: Sequence[Run], done: Sequence[Run], out: Path) -> None:
    """Raise SuiteError if `out` holds results that this collection would lose.

    These are results of a run that the suite still contains and that is not finished here.
    """
    if not (out / "origin.json").exists():
        return
    asked, finished = ({(r.task, r.variant.name, r.seed) for r in group} for group in (runs, done))
    for final in read_results(out).finals:
        key = (final.task, final.variant, final.seed)
        if key in asked and key not in finished:
            raise SuiteError(
                f"{out} holds results of {final.task}/{final.variant}/seed{final.seed}, which is not finished here and "
                f"would be lost; remove {out / 'origin.json'} first if that is meant"
            )
