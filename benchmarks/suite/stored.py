"""Text files with the results of a suite: runs.csv, curves/TASK.csv and origin.json."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.suite.definition import Suite, SuiteError, Variant
from hgrpo_errors import HgrpoError


class Final(NamedTuple):
    """Figures of a finished run: its cost and its evaluation."""

    task: str
    variant: str
    algorithm: str
    seed: int
    executed_steps: int
    simulator_steps: int
    wall_seconds: float
    episodes: int
    success_rate: float
    return_mean: float
    return_std: float
    length_mean: float
    terminated_rate: float

    @property
    def steps_per_second(self) -> float:
        """Simulator steps per second of training, learning included."""
        return self.simulator_steps / self.wall_seconds


class CurvePoint(NamedTuple):
    """A stretch of a run's training: counters at its end, means over its iterations.

    A mean is NaN where no episode ended.
    """

    variant: str
    seed: int
    executed_steps: int
    simulator_steps: int
    wall_seconds: float
    episode_return: float
    success_rate: float


@dataclass(frozen=True)
class Results:
    """Everything that is stored of a suite."""

    suite: Suite
    finals: list[Final]
    curves: dict[str, list[CurvePoint]]
    """Per task."""
    missing: list[str]
    """Labels of the suite's unfinished runs."""
    origins: list[dict[str, Any]]
    """Distinct commits, versions and machines that trained or evaluated, each with its number of processes."""
    collected: dict[str, Any]
    """Commit, versions and machine of the process that collected."""


def write_results(results: Results, folder: Path) -> None:
    """Write the files into `folder`; makes the folder, and replaces stored results."""
    (folder / "curves").mkdir(parents=True, exist_ok=True)
    _write_csv(folder / "runs.csv", Final._fields, results.finals)
    for task, points in results.curves.items():
        _write_csv(folder / "curves" / f"{task}.csv", CurvePoint._fields, points)
    content = {
        "suite": dataclasses.asdict(results.suite),
        "missing": results.missing,
        "made_by": results.origins,
        "collected_by": results.collected,
    }
    (folder / "origin.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_results(folder: Path) -> Results:
    """Read what `write_results` wrote; raises SuiteError if files are missing or not of this form."""
    try:
        content = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
        suite = _suite(content["suite"])
        finals = [Final(*row) for row in _read_csv(folder / "runs.csv", Final)]
        curves = {
            task: [CurvePoint(*row) for row in _read_csv(folder / "curves" / f"{task}.csv", CurvePoint)]
            for task in suite.tasks
        }
        return Results(suite, finals, curves, content["missing"], content["made_by"], content["collected_by"])
    except FileNotFoundError as error:
        raise SuiteError(
            f"no results at {folder}: {error.filename} is missing; make them with: python -m benchmarks.suite collect"
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SuiteError(f"{folder} does not hold results of this form: {error}") from error


def _suite(fields: dict[str, Any]) -> Suite:
    """A suite from its JSON fields, which have lists in place of tuples."""
    variants = tuple(Variant(**_tuples(variant)) for variant in fields["variants"])
    pairs = tuple((x, y) for x, y in fields["comparisons"])
    return Suite(**(_tuples(fields) | {"variants": variants, "comparisons": pairs}))


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    """Six significant digits; empty for NaN."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _read_csv(path: Path, kind: type[Final] | type[CurvePoint]) -> list[list[Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if header != list(kind._fields):
            raise HgrpoError(f"{path.name} has the columns {', '.join(header)}; expected {', '.join(kind._fields)}")
        kinds = list(kind.__annotations__.values())
        return [[_value(cell, name) for cell, name in zip(row, kinds, strict=True)] for row in rows]


def _value(cell: str, kind: Any) -> Any:
    name = getattr(kind, "__forward_arg__", kind)  # annotations of a NamedTuple are kept as text
    if name == "int":
        return int(cell)
    if name == "float":
        return float(cell) if cell else math.nan
    return cell
