"""Logs as CSV: of any source with a mapping of columns, of Betaflight, and of `hgrpo evaluate --record`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hgrpo_control.identify.log import Array, Log, LogError, Segment, continuous, resampled
from hgrpo_errors import nearest, unknown
from hgrpo_files import read_bytes
from robots.quadrotor.body.parameters import GRAVITY

NAMES = (
    "time",
    *(f"motor_{i}" for i in (1, 2, 3, 4)),
    *(f"rate_{axis}" for axis in "xyz"),
    *(f"velocity_{axis}" for axis in "xyz"),
    *(f"quaternion_{axis}" for axis in "wxyz"),
    *(f"force_{axis}" for axis in "xyz"),
)
"""Columns of a log: time, motor commands, body rates, velocity in the world, attitude, specific force."""
UNITS: dict[str, tuple[float, float]] = {
    "1": (1.0, 0.0),
    "s": (1.0, 0.0),
    "ms": (1e-3, 0.0),
    "us": (1e-6, 0.0),
    "rad/s": (1.0, 0.0),
    "deg/s": (math.radians(1.0), 0.0),
    "m/s": (1.0, 0.0),
    "m/s^2": (1.0, 0.0),
    "g": (GRAVITY, 0.0),
    "acc": (GRAVITY / 2048.0, 0.0),
    "percent": (0.01, 0.0),
    "pwm": (1e-3, -1.0),
    "dshot": (1.0 / 1999.0, -48.0 / 1999.0),
    "action": (0.5, 0.5),
}
"""Factor and offset of each unit: pwm is 1000 to 2000, dshot 48 to 2047, action -1 to 1; acc is g / 2048."""
_NEEDED = 8  # time, motors and rates
_RECORDED = (
    {"time": "time [s]"}
    | {f"motor_{i}": f"action motor_{i} [1]:action" for i in (1, 2, 3, 4)}
    | {f"rate_{axis}": f"state angular_velocity_{axis} [rad/s]" for axis in "xyz"}
    | {f"velocity_{axis}": f"state velocity_{axis} [m/s]" for axis in "xyz"}
    | {f"quaternion_{axis}": f"state quaternion_{axis} [1]" for axis in "wxyz"}
)
_MOTORS_OF_BETAFLIGHT = (1, 0, 2, 3)  # front right, back right, back left, front left


class _Table(NamedTuple):
    names: list[str]
    rows: Array


def read_csv(path: Path, columns: Mapping[str, str], rate: float) -> Log:
    """The log of a CSV file.

    Args:
        path: The file.
        columns: NAME=COLUMN[:UNIT] of NAMES; empty for the files of Betaflight and of hgrpo evaluate --record.
        rate: Samples per second of the log.

    Raises LogError for a file or a mapping that cannot be used.
    """
    table = _table(path)
    if columns:
        mapping = dict(columns)
    elif _RECORDED["motor_1"].partition(":")[0] in table.names:
        mapping = _RECORDED
    elif "loopIteration" in table.names or "gyroADC[0]" in table.names:
        mapping = _betaflight(path, table)
    else:
        raise LogError(
            f"{path} is no CSV of Betaflight or hgrpo evaluate --record; name its columns: --columns time=COLUMN "
            f"motor_1=COLUMN:pwm ...; its columns are {', '.join(table.names[:12])}"
        )
    values = {name: _column(path, table, name, column) for name, column in _checked(path, mapping).items()}
    time = values["time"] - values["time"][0]
    order = np.concatenate(([True], np.diff(time) > 0.0)) & np.all(
        [np.isfinite(each) for each in values.values()], axis=0
    )
    time, grid = time[order], np.arange(0.0, time[order][-1] if order.any() else 0.0, 1.0 / rate)
    if len(grid) < 2:
        raise LogError(
            f"{path}: {time[-1] if len(time) else 0.0:g} s of increasing time; at least two samples are needed"
        )

    def sampled(kind: str, axes: str, hold: bool = False) -> Array | None:
        if f"{kind}_{axes[0]}" not in values:
            return None
        return resampled(time, np.stack([values[f"{kind}_{axis}"][order] for axis in axes], axis=1), grid, hold)

    quaternion = sampled("quaternion", "wxyz")
    command, rates = sampled("motor", "1234", hold=True), sampled("rate", "xyz")
    assert command is not None  # both are needed
    assert rates is not None
    attitude = None if quaternion is None else continuous(quaternion)
    segment = Segment(rates, command.clip(0.0, 1.0), sampled("velocity", "xyz"), attitude, sampled("force", "xyz"))
    return Log(str(path), 1.0 / rate, (segment,))


def _table(path: Path) -> _Table:
    """The columns of a CSV file; lines before the header of a Betaflight log are skipped."""
    lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    begin = next((k for k, line in enumerate(lines) if "loopIteration" in line), 0)
    rows = list(csv.reader(io.StringIO("\n".join(lines[begin:]))))
    if len(rows) < 2:
        raise LogError(f"{path} has no rows; expected a header and one row per sample")
    names = [name.strip() for name in rows[0]]
    return _Table(names, np.array([_numbers(row, len(names)) for row in rows[1:]]))


def _numbers(row: Sequence[str], size: int) -> list[float]:
    """A row as numbers; NaN for a cell without one."""
    numbers = []
    for cell in (*row, *("",) * size)[:size]:
        try:
            numbers.append(float(cell))
        except ValueError:
            numbers.append(math.nan)
    return numbers


def _checked(path: Path, columns: Mapping[str, str]) -> Mapping[str, str]:
    """The mapping; LogError if a name is unknown, a needed one is missing or a part of a vector is."""
    for name in columns:
        if name not in NAMES:
            raise LogError(f"--columns: {unknown('name', name, NAMES)}")
    wanted = list(NAMES[:_NEEDED])
    for kind in ("velocity", "quaternion", "force"):
        parts = [name for name in NAMES if name.startswith(f"{kind}_")]
        wanted += parts if any(name in columns for name in parts) else []
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise LogError(f"{path}: --columns has no {missing[0]}; needed: {', '.join(wanted)}")
    return columns


def _column(path: Path, table: _Table, name: str, given: str) -> Array:
    """Values of COLUMN[:UNIT] in the unit of the log."""
    column, colon, unit = given.rpartition(":")
    if not colon or given in table.names:
        column, unit = given, "1"
    if unit not in UNITS:
        raise LogError(f"--columns {name}={given}: {unknown('unit', unit, tuple(UNITS))}")
    if column not in table.names:
        raise LogError(f"{path} has no column {column!r} for {name}; {nearest(column, tuple(table.names))}")
    factor, offset = UNITS[unit]
    return table.rows[:, table.names.index(column)] * factor + offset


def _betaflight(path: Path, table: _Table) -> dict[str, str]:
    """Mapping of a blackbox log; its frame is that of this package, its motors have another order."""

    def found(*names: str) -> str:
        for name in table.names:
            if any(name == each or name.startswith(f"{each} (") for each in names):
                return name
        raise LogError(f"{path}: this Betaflight log has no column {names[0]!r}")

    motors = [found(f"motor[{i}]") for i in range(4)]
    largest = max(float(np.nanmax(table.rows[:, table.names.index(name)])) for name in motors)
    smallest = min(float(np.nanmin(table.rows[:, table.names.index(name)])) for name in motors)
    unit = "pwm" if smallest >= 900.0 and largest <= 2047.0 else "dshot"
    mapping = {"time": f"{found('time')}:us"}
    mapping |= {f"motor_{k + 1}": f"{motors[i]}:{unit}" for k, i in enumerate(_MOTORS_OF_BETAFLIGHT)}
    mapping |= {f"rate_{axis}": f"{found(f'gyroADC[{k}]')}:deg/s" for k, axis in enumerate("xyz")}
    force = [found(f"accSmooth[{k}]") for k in range(3)]
    units = ["m/s^2" if "m/s/s" in name else "g" if "(g)" in name else "acc" for name in force]
    return mapping | {f"force_{axis}": f"{name}:{unit}" for axis, name, unit in zip("xyz", force, units, strict=True)}
