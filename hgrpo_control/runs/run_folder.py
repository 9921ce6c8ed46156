"""The folder of a training run: paths of its files, its lock, its settings and metrics."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hgrpo_control.config.run import Config, ConfigError
from hgrpo_control.runs.imports import modules_of
from hgrpo_control.runs.lock import LOCK_NAME, RunLock
from hgrpo_errors import HgrpoError
from hgrpo_files import append_text, make_folder, read_bytes, reading, write_text
from hgrpo_imports import load_all, require
from policies.spec import CHECKPOINT_NAME

_RUNS_NAMED = 5  # at most, where a folder of runs is given in place of a run
_LONGEST_SUFFIX = 150  # bytes; file systems take names of 255


class RunFolderError(HgrpoError):
    """Raised for a run folder that is missing, damaged or in the way."""


Metrics = Mapping[str, float]
"""One row of metrics.csv by column: the figures of one iteration.

Each part of a run names and documents its own figures. NaN means that there was nothing to measure.
"""
_COUNTERS = ("iteration", "executed_steps", "simulator_steps", "wall_seconds")  # every row has them


class EvaluationFiles(NamedTuple):
    """Files of an evaluation."""

    figures: Path
    plot: Path
    video: Path


class RunFolder:
    """Paths of one run. Only the holder of the lock writes into the folder.

    `create` never overwrites a run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.csv"
        self.checkpoint = self.path / CHECKPOINT_NAME
        self.tensorboard = self.path / "tensorboard"
        self.wandb = self.path / "wandb-run.txt"
        self.mlflow = self.path / "mlflow-run.txt"
        self.evaluation = self.path / "evaluation.json"
        self.onnx = self.path / "policy.onnx"
        self.diagnosis = self.path / "diagnosis.md"
        self.diagnosis_table = self.path / "diagnosis.csv"
        self.diagnosis_plot = self.path / "diagnosis.png"
        self._lock: RunLock | None = None
        self._within_locked = False

    def evaluation_files(self, changed: Mapping[str, str]) -> EvaluationFiles:
        """Files of an evaluation, named after changed task options, such as evaluation-speed=2.json.

        Without changes they are evaluation.json, episodes.png and video.mp4.
        """
        suffix, names = _suffix(changed), ("evaluation{}.json", "episodes{}.png", "video{}.mp4")
        return EvaluationFiles(*(self.path / name.format(suffix) for name in names))

    def grid_files(self, axes: Sequence[str], changed: Mapping[str, str]) -> tuple[Path, Path]:
        """Table and picture of a grid, such as grid-wind-mass.csv and .png, with changed settings in their names."""
        stem = f"grid-{'-'.join(axes)}{_suffix(changed)}"
        return self.path / f"{stem}.csv", self.path / f"{stem}.png"

    def transfer(self, target: str, ending: str) -> Path:
        """File of a transfer to another physics, by its ending, such as json."""
        return self.path / f"transfer-{target}.{ending}"

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: Config) -> RunFolder:
        """Make a new folder, lock it and write config.json.

        The lock is freed at the end of `locked` or of the process.

        Raises RunFolderError if the folder exists and is not empty, RunInUseError if another process is creating it.
        """
        folder = cls(path)
        folder._require_new()
        make_folder(folder.path)
        folder._lock = RunLock(folder.path)
        folder._require_new()
        folder.write_config(config)
        return folder

    def _require_new(self) -> None:
        with reading(self.path):
            exists, is_folder = self.path.exists(), self.path.is_dir()
            used = is_folder and any(file.name != LOCK_NAME for file in self.path.iterdir())
        if exists and not is_folder:
            raise RunFolderError(f"{self.path} is a file; --out is the folder of a new run")
        if used:
            way = f", or continue it with: hgrpo resume {self.path}" if self.config.exists() else ""
            raise RunFolderError(f"{self.path} exists already; choose another --out{way}")

    @contextmanager
    def locked(self) -> Iterator[RunFolder]:
        """Hold the lock while active; inside another `locked` of this object it has no effect.

        Raises RunInUseError if another process holds it.
        """
        if self._within_locked:
            yield self
            return
        self._lock = self._lock or RunLock(self.path)
        self._within_locked = True
        try:
            yield self
        finally:
            self._lock.release()
            self._lock, self._within_locked = None, False

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """An existing run; raises RunFolderError if there is none."""
        folder = cls(path)
        with reading(folder.path):
            if not folder.config.exists():
                raise RunFolderError(_instead_of_a_run(folder))
        return folder

    def read_config(self, imports: Sequence[str] = (), learning: bool = True) -> Config:
        """The run's settings, after importing the modules that the user names, and no others.

        Args:
            imports: Modules that the user named in this call.
            learning: Whether the reward transform will be used too.

        Raises RunFolderError if the file cannot be used, ImportRefusedError for a module that only the file names,
        UserModuleError for one that cannot be imported.
        """
        config = self.peek_config()
        already = {name for name in config.imports if name in sys.modules}  # imported by the user's Python code
        require(modules_of(config, learning), (*imports, *already), f"{self.path} was trained with")
        load_all(imports)
        return config

    def peek_config(self) -> Config:
        """The run's settings without importing any module; raises RunFolderError if the file cannot be used."""
        try:
            return Config.from_json(read_bytes(self.config).decode())
        except (ConfigError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{self.config}: {error}") from error

    def settings(self) -> dict[str, Any]:
        """The settings of config.json by their path, such as "algorithm.name"."""
        return flatten(json.loads(self.peek_config().to_json()))

    def write_config(self, config: Config) -> None:
        """Write the run's settings; replaces the file."""
        write_text(self.config, config.to_json())

    def read_metrics(self) -> list[dict[str, float]]:
        """Every row written so far; raises RunFolderError for a file that holds something else."""
        if not self.metrics.exists():
            return []
        content = read_bytes(self.metrics)
        try:
            rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
            columns = len(rows.fieldnames or ())
            return [_parse(row) for row in rows if None not in row.values() and len(row) == columns]
        except (ValueError, LookupError, csv.Error) as error:
            raise RunFolderError(f"{self.metrics} does not hold the metrics of a run: {error!r}") from error

    def append_metrics(self, row: Metrics) -> None:
        """Add one row. A new column has NaN in earlier rows."""
        columns = self._columns()
        missing = [name for name in row if name not in columns]
        if missing:
            self._write_metrics([*columns, *missing], [*self.read_metrics(), row])
        else:
            append_text(self.metrics, _csv([_cells(row, columns)]))

    def drop_metrics_after(self, iteration: int) -> None:
        """Remove rows of later iterations, which a resumed run writes again."""
        if self.metrics.exists():
            kept = [row for row in self.read_metrics() if row["iteration"] <= iteration]
            self._write_metrics(self._columns(), kept)

    def _columns(self) -> list[str]:
        if not self.metrics.exists():
            return []
        with reading(self.metrics), self.metrics.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])

    def _write_metrics(self, columns: Sequence[str], rows: Sequence[Metrics]) -> None:
        write_text(self.metrics, _csv([columns, *(_cells(row, columns) for row in rows)]))


def last_tenth(history: Sequence[Metrics], name: str) -> float:
    """Mean of a column over the last tenth of a run's iterations; NaN where nothing was measured."""
    tail = [row.get(name, math.nan) for row in history[-max(1, len(history) // 10) :]]
    measured = [value for value in tail if not math.isnan(value)]
    return sum(measured) / len(measured) if measured else math.nan


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of nested dictionaries by their path: {"a": {"b": 1}} becomes {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _suffix(changed: Mapping[str, str]) -> str:
    """End of a file's name with changed settings; empty without any."""
    words = "".join(f"-{name}={value}" for name, value in sorted(changed.items()))
    suffix = re.sub(r"[^\w.,+=-]", "_", words)
    if len(suffix) > _LONGEST_SUFFIX:
        suffix = f"{suffix[:_LONGEST_SUFFIX]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
    return suffix


def _csv(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _instead_of_a_run(folder: RunFolder) -> str:
    """Error line for a path that is no run: what it is, and runs near it."""
    path, config = folder.path, folder.config.name
    if path.is_file():
        meant = f"; did you mean {path.parent}?" if (path.parent / config).exists() else ", which hgrpo train makes"
        return f"{path} is a file; expected a run folder{meant}"
    inside = sorted(str(found.parent) for found in path.glob(f"*/{config}"))
    more = ", ..." if len(inside) > _RUNS_NAMED else ""
    named = f"; runs in it: {', '.join(inside[:_RUNS_NAMED])}{more}" if inside else ""
    return f"no run at {path}: {config} is missing{named}"


def _cells(row: Metrics, columns: Sequence[str]) -> list[float]:
    return [row.get(name, math.nan) for name in columns]


def _parse(row: Mapping[str, str]) -> dict[str, float]:
    for name in _COUNTERS:
        float(row[name])
    return {name: _number(text) for name, text in row.items()}


def _number(text: str) -> float:
    """The number in a cell; NaN for an empty one."""
    try:
        return int(text)
    except ValueError:
        return float(text or math.nan)
