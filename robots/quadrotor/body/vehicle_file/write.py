"""Vehicle files as they are written: every key with a comment."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hgrpo_fields import fields_of
from hgrpo_files import write_new
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.vehicle_file.keys import REVERSED, SIGNS, SPINS, AutopilotKeys, VehicleError, VehicleKeys
from robots.quadrotor.body.vehicle_file.read import ENDING, require_name


def write_vehicle(path: Path, parameters: QuadrotorParameters, unknown: Mapping[str, str] | None = None) -> None:
    """Write a new vehicle file with a comment at every key.

    Args:
        path: The file, NAME.toml; NAME becomes the name of the drone.
        parameters: The drone.
        unknown: Remarks on keys whose values are placeholders.

    Raises VehicleError for a name that is not allowed, FileError if the file exists or cannot be written.
    """
    require_writable(path)
    table, remarks = _table(dataclasses.replace(parameters, name=path.stem)), unknown or {}
    lines = [f"# {VehicleKeys.__doc__}", ""]
    for field in fields_of(VehicleKeys):
        lines += _comment(field.text, remarks.get(field.name))
        lines += [f"{field.name} = {_toml(table[field.name])}", ""]
    lines += [*_comment(AutopilotKeys.__doc__ or "", remarks.get("autopilot")), "[autopilot]"]
    for field in fields_of(AutopilotKeys):
        lines += [*_comment(field.text, None), f"{field.name} = {_toml(getattr(parameters.gains, field.name))}"]
    write_new(path, ("\n".join(lines) + "\n").encode())


def require_writable(path: Path) -> None:
    """Raise VehicleError for a path that exists or whose name is not allowed."""
    if path.suffix != ENDING:
        raise VehicleError(f"a vehicle file is named NAME{ENDING}; given {path}")
    require_name(path.stem, str(path))
    if path.exists():
        raise VehicleError(f"{path} exists already; choose another name")


def _table(parameters: QuadrotorParameters) -> dict[str, Any]:
    """Values of all keys but those of the autopilot."""
    p, (x, y) = parameters, parameters.rotor_offset
    table = {field.name: getattr(p, field.name) for field in fields_of(VehicleKeys) if hasattr(p, field.name)}
    spins = SPINS if p.torque_per_thrust > 0.0 else REVERSED
    table |= {"rotor_places": [[sx * x, sy * y] for sx, sy in SIGNS], "rotor_spins": spins}
    return table | {"torque_per_thrust": abs(p.torque_per_thrust)}


def _comment(text: str, remark: str | None) -> list[str]:
    lines = textwrap.wrap(" ".join(text.split()), 110)
    return [f"# {line}" for line in [*lines, *([f"NOT IN THE SOURCE: {remark}"] if remark else [])]]


def _toml(value: Any) -> str:
    """A text, a number or a list of them as TOML."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(float(value))
