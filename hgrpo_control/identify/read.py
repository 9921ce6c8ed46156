"""Reader of a log by the ending of its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from hgrpo_control.identify.csv_log import read_csv
from hgrpo_control.identify.log import Log, LogError
from hgrpo_control.identify.px4 import read_ulg
from hgrpo_control.identify.records import read_npz

ENDINGS = (".npz", ".csv", ".ulg")
_RESAMPLED = (".csv", ".ulg")
RATE = 100.0
"""Samples per second of logs that are resampled, unless another is given [Hz]."""


def read_logs(paths: Sequence[Path], columns: Mapping[str, str], rate: float) -> Log:
    """One log of several files of the same drone; a folder stands for the .npz and .csv episodes in it.

    Args:
        paths: The files or folders.
        columns: Mapping of the columns of CSV files.
        rate: Samples per second of CSV and .ulg files; .npz files have their own.

    Raises LogError for a file that cannot be used, and for logs with different steps or channels.
    """
    files = [file for path in paths for file in (_inside(path) if path.is_dir() else [path])]
    logs = [_read(file, columns, rate) for file in files]
    if columns and not any(file.suffix == ".csv" for file in files):
        raise LogError(f"--columns does nothing with {files[0]}; it is for .csv")
    if rate != RATE and not any(file.suffix in _RESAMPLED for file in files):
        raise LogError(f"--rate {rate:g} does nothing with {files[0]}, which has its own; it is for .csv and .ulg")
    first = logs[0]
    for log in logs[1:]:
        if abs(log.step - first.step) > 1e-6:
            raise LogError(
                f"{log.path} has {1.0 / log.step:g} Hz and {first.path} {1.0 / first.step:g} Hz; allowed: one rate"
            )
    segments = tuple(segment for log in logs for segment in log.segments)
    if len({tuple(segment.channels) for segment in segments}) > 1:
        raise LogError(f"{paths[0]} and the others measure different quantities; identify each alone")
    return dataclasses.replace(first, path=", ".join(map(str, paths)), segments=segments)


def _inside(folder: Path) -> list[Path]:
    files = sorted(folder.glob("episode-*.npz")) or sorted(folder.glob("episode-*.csv"))
    if not files:
        raise LogError(f"{folder} has no episodes of hgrpo evaluate --record")
    return files


def _read(path: Path, columns: Mapping[str, str], rate: float) -> Log:
    if path.suffix == ".npz":
        return read_npz(path)
    if path.suffix == ".csv":
        return read_csv(path, columns, rate)
    if path.suffix == ".ulg":
        return read_ulg(path, rate)
    raise LogError(f"{path} is no log; allowed: a name that ends in {', '.join(ENDINGS)}, or a folder of episodes")
