"""Tables and pictures of a suite, from its stored files only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.suite import plots
from benchmarks.suite.definition import MEASURES, Suite
from benchmarks.suite.estimates import ALL_TASKS, Estimates, by_group, estimate
from benchmarks.suite.intervals import REPETITIONS, Interval, require_rliable
from benchmarks.suite.stored import Final, Results, read_results
from hgrpo_control.reports.compare import markdown_table

Key = TypeVar("Key")

_NAMED = 10

_EXPLAINED = f"""\
{{judged}} {{verb}} that of {{episodes}} fresh episodes of the mean action per run (seed {{seed}}, the same for each).
IQM is the interquartile mean over seeds: a quarter of the runs is left out at either end, none where there are fewer
than four. Brackets hold 95 % intervals of the stratified bootstrap over seeds ({REPETITIONS:,} resamplings; none for a
single run); with few seeds they are too narrow. P(X > Y) is the probability that a run of X {{better}} than one of Y,
ties counting half. Wall-clock is that of training, several runs at a time on one machine.
Curves show training episodes: IQM over seeds, bands from the lowest seed to the highest, drawn where every seed has a
figure."""


def report(folder: Path) -> list[Path]:
    """Write report.md and its pictures beside the stored files of a suite; returns their paths.

    Raises SuiteError if rliable is missing or the files are.
    """
    results = read_results(folder)
    require_rliable()
    estimates = estimate(results)
    pictures = _draw(results, estimates, folder)
    text = folder / "report.md"
    text.write_text(_markdown(results, estimates, pictures), encoding="utf-8")
    return [text, *pictures.values()]


def _draw(results: Results, estimates: Estimates, folder: Path) -> dict[str, Path]:
    """Pictures under the headings that show them."""
    pictures = {"return": folder / "return.png"}
    if estimates.success:
        pictures["success"] = folder / "success.png"
        plots.final_scores(results, estimates.success, "success_rate", "success rate (IQM)", pictures["success"])
    plots.final_scores(results, estimates.returns, "return_mean", "return (IQM)", pictures["return"])
    if estimates.improvements:
        pictures["improvement"] = folder / "improvement.png"
        plots.improvement(results, estimates.improvements, pictures["improvement"])
    for task in results.suite.tasks:
        if results.curves[task]:
            for measure, label in _curve_measures(results.suite).items():
                if all(math.isnan(getattr(point, measure)) for point in results.curves[task]):
                    continue  # a task without a goal
                path = folder / f"curves-{task}-{measure}.png"
                plots.learning_curves(results, task, measure, label, path)
                pictures[f"{task} {measure}"] = path
    return pictures


def _markdown(results: Results, estimates: Estimates, pictures: Mapping[str, Path]) -> str:
    suite = results.suite
    sections = [f"# {suite.title}", _explained(suite)]
    sections += [_missing(results), _picture(pictures, "success")]
    if any(task == ALL_TASKS for task, _ in estimates.success):
        sections += ["## All tasks", _over_tasks(results, estimates)]
    if estimates.improvements:
        sections += [
            "## Probability of improvement",
            _improvements(results, estimates),
            _picture(pictures, "improvement"),
        ]
    for task in suite.tasks:
        if results.curves[task]:
            sections += [f"## {task}", _finals(results, estimates, task)]
            sections += [_picture(pictures, f"{task} {measure}") for measure in _curve_measures(suite)]
    sections += [
        "## Returns",
        _picture(pictures, "return"),
        "## Variants",
        _variants(results),
        "## Origin",
        _origin(results),
    ]
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def _explained(suite: Suite) -> str:
    judged = " and ".join(MEASURES[measure] for measure in suite.measures).capitalize()
    better = {"success_rate": "succeeds more often", "return_mean": "has a higher return"}
    return _EXPLAINED.format(
        judged=judged,
        verb="are" if len(suite.measures) > 1 else "is",
        better=", or ".join(better[measure] for measure in suite.measures),
        episodes=suite.episodes,
        seed=suite.evaluation_seed,
    )


def _curve_measures(suite: Suite) -> dict[str, str]:
    """Columns of metrics that learning curves are drawn of, and their labels."""
    success = {"success_rate": "success rate"} if "success_rate" in suite.measures else {}
    return success | {"episode_return": "episode return"}


def _finals(results: Results, estimates: Estimates, task: str) -> str:
    succeed = "success_rate" in results.suite.measures
    judged = ("success, IQM", "success, range") if succeed else ()
    counted = ("executed steps", "simulator steps", "wall-clock [s]", "steps/s, IQM")
    columns = ("group", "variant", "seeds", *judged, "return, IQM", "ended early", *counted)
    rows = []
    for group, variants in by_group(results.suite.variants).items():
        for variant in variants:
            runs = [f for f in results.finals if (f.task, f.variant) == (task, variant.name)]
            if runs:
                rates = [run.success_rate for run in runs if not math.isnan(run.success_rate)]
                spread = f"{min(rates):.3f} ... {max(rates):.3f}" if rates else "-"
                success = [_look_up(estimates.success, (task, variant.name), 3), spread] if succeed else []
                rows.append(
                    [
                        group,
                        variant.name,
                        str(len(runs)),
                        *success,
                        _show(estimates.returns[task, variant.name], 1),
                        f"{_mean(runs, 'terminated_rate'):.3f}",
                        f"{_mean(runs, 'executed_steps'):,.0f}",
                        f"{_mean(runs, 'simulator_steps'):,.0f}",
                        f"{_mean(runs, 'wall_seconds'):,.0f}",
                        _show(estimates.speeds[task, variant.name], 0),
                    ]
                )
    return markdown_table(columns, rows)


def _over_tasks(results: Results, estimates: Estimates) -> str:
    rows = [
        [group, v.name, _show(estimates.success[ALL_TASKS, v.name], 3)]
        for group, variants in by_group(results.suite.variants).items()
        for v in variants
        if (ALL_TASKS, v.name) in estimates.success
    ]
    return markdown_table(("group", "variant", "success, IQM over tasks and seeds"), rows)


def _improvements(results: Results, estimates: Estimates) -> str:
    tasks = [t for t in (*results.suite.tasks, ALL_TASKS) if any(key[0] == t for key in estimates.improvements)]
    rows = [
        [x, y, MEASURES[measure], *(_look_up(estimates.improvements, (task, (x, y), measure), 2) for task in tasks)]
        for x, y in results.suite.comparisons
        for measure in results.suite.measures
    ]
    return markdown_table(("X", "Y", "by", *(f"P(X > Y), {task}" for task in tasks)), rows)


def _variants(results: Results) -> str:
    rows = []
    for v in results.suite.variants:
        reference = ("--reference", f"{results.suite.name}/TASK/{v.reference}/SEED") if v.reference else ()
        rows.append([v.name, f"`{v.learner} train {' '.join((v.algorithm, 'TASK', *v.options, *reference))}`"])
    return markdown_table(("variant", "command"), rows)


def _missing(results: Results) -> str:
    if not results.missing:
        return ""
    asked = len(results.missing) + len(results.finals)
    more = (
        f" and {len(results.missing) - _NAMED} more, all named in origin.json" if len(results.missing) > _NAMED else ""
    )
    return f"**{len(results.missing)} of {asked} runs are missing:** {', '.join(results.missing[:_NAMED])}{more}."


def _origin(results: Results) -> str:
    words = results.suite.words
    lines = [f"Runs: `python -m benchmarks.suite run {words}`, then `collect {words}` and `report {words}`.", ""]
    lines += [f"- {_origin_line(origin)}" for origin in results.origins]
    return "\n".join(lines)


def _origin_line(origin: Mapping[str, Any]) -> str:
    if "commit" not in origin:
        return f"{origin['processes']} runs without a record of their origin"
    other = {"processes", "commit", "python", "cores", "machine", "system"}
    versions = ", ".join(f"{name} {text}" for name, text in origin.items() if name not in other)
    return (
        f"{origin['processes']} processes at commit {origin['commit']}, Python {origin['python']}, {versions}, "
        f"{origin['cores']} cores ({origin['machine']}, {origin['system']})"
    )


def _picture(pictures: Mapping[str, Path], name: str) -> str:
    return f"![{name}]({pictures[name].name})" if name in pictures else ""


def _show(interval: Interval, digits: int) -> str:
    value, low, high = (f"{figure:.{digits}f}" for figure in interval)
    return value if math.isnan(interval.low) else f"{value} [{low}, {high}]"


def _look_up(estimates: Mapping[Key, Interval], key: Key, digits: int) -> str:
    return _show(estimates[key], digits) if key in estimates else "-"


def _mean(runs: list[Final], measure: str) -> float:
    return sum(getattr(run, measure) for run in runs) / len(runs)
