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

    Results stored in `out` are kept where their run is not finished here. Other unfinished runs are listed there.

    Raises SuiteError if no run is finished, or if a run, or a stored result, was made with other settings than the
    suite asks for.
    """
    runs = planned_runs(suite, root)
    require_agreement(runs)
    steps = {run.label: next_step(run) for run in runs}
    done = [run for run in runs if steps[run.label] is None]
    if not done:
        raise SuiteError(f"no run of suite {suite.name} is finished under {root / suite.name}")
    kept = _stored_elsewhere(suite, [run for run in runs if steps[run.label] is not None], out)
    finals = [*(_final(run) for run in done), *kept.finals]
    names = [variant.name for variant in suite.variants]
    finals.sort(key=lambda final: (suite.tasks.index(final.task), names.index(final.variant), final.seed))
    curves: dict[str, list[CurvePoint]] = {task: list(kept.curves[task]) for task in suite.tasks}
    for run in done:
        curves[run.task] += thin(run.variant.name, run.seed, run.folder.read_metrics())
    for points in curves.values():
        points.sort(key=lambda point: (names.index(point.variant), point.seed))  # stable: steps stay in order
    finished = {f"{final.task}/{final.variant}/seed{final.seed}" for final in finals}
    missing = [run.label for run in runs if run.label not in finished]
    results = Results(suite, finals, curves, missing, _merged(kept.origins, _origins(done)), describe_origin())
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


def _merged(stored: list[dict[str, Any]], here: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Distinct origins of both; one that is in both has the larger number of processes."""
    numbers: dict[str, int] = {}
    for origin in (*stored, *here):
        key = json.dumps({name: value for name, value in origin.items() if name != "processes"}, sort_keys=True)
        numbers[key] = max(numbers.get(key, 0), origin["processes"])
    return [json.loads(key) | {"processes": number} for key, number in numbers.items()]


def _stored_elsewhere(suite: Suite, unfinished: Sequence[Run], out: Path) -> Results:
    """Results in `out` of runs that are not finished here, as of another machine.

    Raises SuiteError for a result of other settings.
    """
    nothing = Results(suite, [], {task: [] for task in suite.tasks}, [], [], {})
    if not (out / "origin.json").exists():
        return nothing
    stored = read_results(out)
    wanted = {(run.task, run.variant.name, run.seed): run for run in unfinished}
    finals = [final for final in stored.finals if (final.task, final.variant, final.seed) in wanted]
    for final in finals:
        run = wanted[final.task, final.variant, final.seed]
        if stored.suite.variant(final.variant).options != run.variant.options:
            raise SuiteError(
                f"{out} holds results of {run.label} with other options than the suite has; finish that run here, or "
                f"remove {out / 'origin.json'} to lose what is stored"
            )
    if not finals:
        return nothing
    curves = {
        task: [point for point in stored.curves.get(task, []) if (task, point.variant, point.seed) in wanted]
        for task in suite.tasks
    }
    return Results(suite, finals, curves, [], stored.origins, {})
