"""Comparison of several runs: learning curves as PNG and a table as Markdown."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hgrpo_control.reports import learning_curves
from hgrpo_control.runs.run_folder import Metrics, RunFolder, RunFolderError, last_tenth
from hgrpo_files import MARK, is_own_text, make_folder, read_bytes, write_text
from robots.quadrotor.body.vehicle_file.read import is_vehicle_text, vehicle_from_text

_COLUMNS = (
    "run",
    "algorithm",
    "seed",
    "simulator steps",
    "executed steps",
    "wall-clock [s]",
    "steps/s",
    "return (training, last tenth)",
    "success (evaluation)",
    "return (evaluation)",
    "episodes (evaluation)",
)


def compare(
    folders: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], note: str = ""
) -> tuple[Path, Path]:
    """Write learning_curves.png and comparison.md of several runs.

    Runs that differ only in the seed share a curve.

    Args:
        folders: Run folders of one task.
        out: Folder to write into. Files that a comparison wrote are replaced, no others.
        note: Text above the table.

    Returns:
        The paths of the picture and of the table.

    Raises:
        RunFolderError: If a folder is no run or has no metrics, for runs of different tasks, and where `out` is a file
            or holds files of these names that no comparison wrote.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file; --out is a folder to write into")
    picture, table = out / "learning_curves.png", out / "comparison.md"
    _require_replaceable(picture, table)
    runs = [RunFolder.open(folder) for folder in folders]
    task = _require_one_task(runs)
    metrics = [run.read_metrics() for run in runs]
    for run, rows in zip(runs, metrics, strict=True):
        if not rows:
            raise RunFolderError(f"{run.path} has no metrics yet")
    labels = _labels(runs)
    groups: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    names = _names(runs)
    curves = {_curve(label, [names[i] for i in rows]): [metrics[i] for i in rows] for label, rows in groups.items()}
    make_folder(out)
    learning_curves.learning_curves(curves, picture, title=task)
    cells = [_row(run, label, history) for run, label, history in zip(runs, labels, metrics, strict=True)]
    text = f"<!-- {MARK} -->\n\n" + (f"{note}\n\n" if note else "") + markdown_table(_COLUMNS, cells)
    if len(groups) < len(runs):
        text += "\nOver the seeds, mean (lowest ... highest):\n\n" + _over_seeds(cells)
    write_text(table, f"{text}\n![learning curves]({picture.name})\n")
    return picture, table


def _require_replaceable(picture: Path, table: Path) -> None:
    """Raise RunFolderError unless both files are missing, or the table has the mark of a comparison."""
    stranger = table if table.exists() else picture
    if stranger.exists() and not (stranger == table and is_own_text(read_bytes(table))):
        raise RunFolderError(
            f"{stranger} was not written by hgrpo compare and stays; move it away or choose another --out"
        )


def _names(runs: Sequence[RunFolder]) -> list[str]:
    """Names of the run folders, or their paths where two have the same name."""
    names = [run.path.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def _curve(label: str, names: Sequence[str]) -> str:
    """Legend of a curve: run and algorithm, or algorithm and number of runs."""
    return f"{names[0]}: {label}" if len(names) == 1 else f"{label}: {len(names)} seeds"


def _require_one_task(runs: Sequence[RunFolder]) -> str:
    """The task of all runs; raises RunFolderError for more than one."""
    first: dict[str, RunFolder] = {}
    for run in runs:
        first.setdefault(run.peek_config().task, run)
    if len(first) > 1:
        tasks = ", ".join(f"{task} ({run.path})" for task, run in first.items())
        raise RunFolderError(f"returns of different tasks cannot share an axis: {tasks}; compare the runs of one task")
    return next(iter(first), "")


def _over_seeds(cells: Sequence[Sequence[str]]) -> str:
    """Table with one row per label: mean and range of its runs.

    The values are those of the first table.
    """
    measures = (
        "success (evaluation)",
        "return (evaluation)",
        "episodes (evaluation)",
        "return (training, last tenth)",
        "steps/s",
    )
    columns = [_COLUMNS.index(measure) for measure in measures]
    groups: dict[str, list[Sequence[str]]] = {}
    for row in cells:
        groups.setdefault(row[_COLUMNS.index("algorithm")], []).append(row)
    rows = [
        [label, str(len(members)), *(_mean_and_range([member[column] for member in members]) for column in columns)]
        for label, members in groups.items()
    ]
    return markdown_table(("algorithm", "runs", *measures), rows)


def _mean_and_range(cells: Sequence[str]) -> str:
    """Mean (lowest ... highest) with the digits of the cells; cells without a figure are left out."""
    figures = [cell for cell in cells if cell != "-"]
    if not figures:
        return "-"
    digits = len(figures[0].partition(".")[2])
    values = [float(figure.replace(",", "")) for figure in figures]
    mean, low, high = (f"{value:,.{digits}f}" for value in (sum(values) / len(values), min(values), max(values)))
    return f"{mean} ({low} ... {high})"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with padded columns."""
    widths = [max(len(cell) for cell in cells) for cells in zip(columns, *rows, strict=True)]
    lines = [columns, ["-" * width for width in widths], *rows]
    return "".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |\n" for line in lines)


def _labels(runs: Sequence[RunFolder]) -> list[str]:
    """Algorithm names, followed by the settings that differ between runs of one algorithm."""
    configs = [run.settings() for run in runs]
    for config in configs:
        config.pop("seed")
    labels = []
    for config in configs:
        name = config["algorithm.name"]
        rivals = [other for other in configs if other["algorithm.name"] == name]
        differing = [key for key in config if len({repr(rival.get(key)) for rival in rivals}) > 1]
        details = ", ".join(f"{key.split('.')[-1]} {_shown(config.get(key))}" for key in differing)
        labels.append(f"{name} ({details})" if details else name)
    return labels


def _shown(value: object) -> str:
    """A setting; the numbers of a vehicle file by its name and a hash, because others may have the name too."""
    if not isinstance(value, str) or not is_vehicle_text(value):
        return str(value)
    return f"{vehicle_from_text(value).name}#{hashlib.sha256(value.encode()).hexdigest()[:6]}"


def _row(run: RunFolder, label: str, history: Sequence[Metrics]) -> list[str]:
    last = history[-1]
    final = last_tenth(history, "episode_return")
    evaluation = _evaluation(run)
    return [
        run.path.name,
        label,
        str(run.peek_config().seed),
        f"{last['simulator_steps']:,}",
        f"{last['executed_steps']:,}",
        f"{last['wall_seconds']:.0f}",
        f"{last['simulator_steps'] / last['wall_seconds']:,.0f}",
        "-" if math.isnan(final) else f"{final:.1f}",
        _figure(evaluation.get("success_rate"), 3),
        _figure(evaluation.get("return_mean"), 1),
        _figure(evaluation.get("episodes"), 0),
    ]


def _evaluation(run: RunFolder) -> dict[str, Any]:
    """Contents of a run's evaluation.json; empty without the file."""
    if not run.evaluation.exists():
        return {}
    anew = f"hgrpo evaluate {run.path} writes it anew"
    try:
        fields = json.loads(read_bytes(run.evaluation))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{run.evaluation} is damaged ({error}); {anew}") from error
    if not isinstance(fields, dict):
        raise RunFolderError(f"{run.evaluation} holds no figures; {anew}")
    return fields


def _figure(value: float | None, digits: int) -> str:
    """A figure of an evaluation; "-" without an evaluation or, for success, without a goal."""
    return "-" if value is None else f"{value:.{digits}f}"
