"""State of a suite: finished and missing runs, and an estimate of the remaining time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from benchmarks.suite.plan import Run, next_step, share_done
from hgrpo_control.reports.compare import markdown_table


def listing(runs: Sequence[Run], jobs: int) -> str:
    """Table of done, begun and missing seeds per task and variant.

    Its last line has the time that `jobs` processes still need.
    """
    done = [run for run in runs if next_step(run) is None]
    rest = [run for run in runs if run not in done]
    rows = []
    for task, variant in dict.fromkeys((run.task, run.variant.name) for run in runs):
        own = [run for run in runs if (run.task, run.variant.name) == (task, variant)]
        begun = [run for run in own if run not in done and share_done(run) > 0.0]
        missing = [run for run in own if run not in done and run not in begun]
        cells = (_seeds(group) for group in ([run for run in own if run in done], begun, missing))
        rows.append([task, variant, *cells])
    table = markdown_table(("task", "variant", "done", "begun", "missing"), rows)
    return f"{table}\n{len(done)} of {len(runs)} runs are done. {_remaining(done, rest, jobs)}"


def _seeds(runs: Sequence[Run]) -> str:
    return " ".join(str(run.seed) for run in runs) or "-"


def _remaining(done: Sequence[Run], rest: Sequence[Run], jobs: int) -> str:
    if not rest:
        return "Nothing is missing."
    if not done:
        return "How long the rest takes cannot be said before one is done."
    seconds = {run.label: run.folder.read_metrics()[-1]["wall_seconds"] for run in done}
    total = sum((1.0 - share_done(run)) * _expected(run, done, seconds) for run in rest) / min(jobs, len(rest))
    hours, minutes = divmod(math.ceil(total / 60.0), 60)
    return f"The rest takes roughly {hours} h {minutes:02d} min with {jobs} jobs, judged by the training time of those."


def _expected(run: Run, done: Sequence[Run], seconds: dict[str, float]) -> float:
    """Median training time of the done runs most like this one."""
    alike = (
        [d for d in done if (d.task, d.variant) == (run.task, run.variant)],
        [d for d in done if d.task == run.task and d.variant.algorithm == run.variant.algorithm],
        [d for d in done if d.variant.algorithm == run.variant.algorithm],
        done,
    )
    nearest = next(group for group in alike if group)
    return statistics.median(seconds[d.label] for d in nearest)
