"""Vehicle files: a drone of your own as TOML, and the same numbers as one text that a run keeps.

A task option `quadrotor=mydrone.toml` is replaced by the text of its numbers when the settings are read. After that a
run does not need the file.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hgrpo_errors import nearest
from hgrpo_fields import fields_of
from hgrpo_files import read_bytes
from robots.quadrotor.body.gains import ControlGains, tuned
from robots.quadrotor.body.parameters import PRESETS, QuadrotorParameters
from robots.quadrotor.body.vehicle_file.keys import (
    CORNERS,
    REVERSED,
    SIGNS,
    SPINS,
    AutopilotKeys,
    VehicleError,
    VehicleKeys,
)
from robots.quadrotor.body.vehicle_file.limits import problem_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENDING = ".toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_UNEQUAL = 0.01  # relative difference of rotor places that is taken for equal
_SIZES = {"drag": 2, "rotor_places": 4, "rotor_spins": 4}  # 3 for other lists
_TEXTS = ("name", "source", "rotor_spins")


def is_vehicle_file(value: object) -> bool:
    """Whether the value of an option is the path of a vehicle file."""
    return isinstance(value, str) and value.endswith(ENDING)


def is_vehicle_text(value: str) -> bool:
    """Whether the value of an option is the text of a vehicle's numbers."""
    return value.startswith("{")


def with_vehicle(options: Mapping[str, Any]) -> dict[str, Any]:
    """Task options with the numbers of a vehicle file in place of its path; VehicleError if it cannot be used."""
    path = options.get("quadrotor")
    return dict(options) | ({"quadrotor": vehicle_text(read_vehicle(Path(str(path))))} if is_vehicle_file(path) else {})


def read_vehicle(path: Path) -> QuadrotorParameters:
    """The drone in a vehicle file; raises VehicleError, and FileError if it cannot be read."""
    content = read_bytes(path)
    try:
        table = tomllib.loads(content.decode())
    except ValueError as error:  # also for bytes that are no text
        raise VehicleError(f"{path} cannot be read as TOML: {error}") from error
    return _parameters(table, str(path))


def vehicle_text(parameters: QuadrotorParameters) -> str:
    """Numbers of a drone as one line of JSON; `vehicle_from_text` reads the same numbers."""
    return json.dumps({**parameters.numbers(), "source": parameters.source})


def vehicle_from_text(text: str) -> QuadrotorParameters:
    """The drone of a text from `vehicle_text`; raises VehicleError for another text."""
    try:
        fields = json.loads(text)
        gains = ControlGains(**{name: _tupled(value) for name, value in fields.pop("gains").items()})
        parameters = QuadrotorParameters(**{name: _tupled(value) for name, value in fields.items()}, gains=gains)
        problem = problem_of(parameters)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise VehicleError(f"quadrotor={text[:60]}... does not hold the numbers of a vehicle: {error!r}") from error
    if problem:
        raise VehicleError(f"quadrotor={text[:60]}...: {problem}")
    require_name(parameters.name, "quadrotor")
    return parameters


def require_name(name: str, where: str) -> None:
    """Raise VehicleError for a name that is not allowed."""
    if not _NAME.fullmatch(name):
        raise VehicleError(f"{where}: name may have letters, digits, dots and dashes; given {name!r}")
    if name in PRESETS or name == "any":
        raise VehicleError(f"{where}: name {name!r} is that of a preset; allowed: any other name, such as my-{name}")


def _parameters(table: Mapping[str, Any], where: str) -> QuadrotorParameters:
    keys = VehicleKeys(**_checked(VehicleKeys, {k: v for k, v in table.items() if k != "autopilot"}, where))
    require_name(keys.name, where)
    given = table.get("autopilot", {})
    if not isinstance(given, dict):
        raise VehicleError(f"{where}: autopilot must be a table; given {given!r}")
    defaults = designed_gains(0.5 * (keys.rotor_time_up + keys.rotor_time_down))
    own = {**dataclasses.asdict(defaults), **given}
    gains = ControlGains(**_checked(AutopilotKeys, own, where, "autopilot."))
    (x, y), direction = _offset(keys.rotor_places, where), _direction(keys.rotor_spins, where)
    parameters = QuadrotorParameters(
        name=keys.name,
        source=keys.source or where,
        mass=keys.mass,
        inertia=keys.inertia,  # type: ignore[arg-type]
        rotor_offset=(x, y),
        thrust_curve=keys.thrust_curve,  # type: ignore[arg-type]
        torque_per_thrust=direction * keys.torque_per_thrust,
        rotor_speed_min=keys.rotor_speed_min,
        rotor_time_up=keys.rotor_time_up,
        rotor_time_down=keys.rotor_time_down,
        drag=keys.drag,  # type: ignore[arg-type]
        gains=gains,
    )
    problem = problem_of(parameters)
    if problem:
        raise VehicleError(f"{where}: {problem}")
    return parameters


def designed_gains(lag: float) -> ControlGains:
    """Gains of the inner loops for a lag of the rotors [s], as slow as those of the presets with that lag."""
    if lag > 0.1:
        return tuned(lag, bandwidth=20.0, yaw_bandwidth=8.0, attitude=4.0, velocity=1.5)
    return tuned(lag, bandwidth=25.0, yaw_bandwidth=10.0, attitude=5.0, velocity=2.0)


def _checked(kind: type, table: Mapping[str, Any], where: str, place: str = "") -> dict[str, Any]:
    """Values of the keys of a dataclass, of the right types and ranges."""
    fields = {field.name: field for field in fields_of(kind)}
    for key in table:
        if key not in fields:
            raise VehicleError(f"{where}: unknown key {place + key!r}; {nearest(key, tuple(fields))}")
    values = {}
    for name, field in fields.items():
        if name not in table:
            if field.default is dataclasses.MISSING:
                raise VehicleError(f"{where}: key {place + name!r} is missing: {field.text.split(':')[0]}")
            continue
        value = table[name]
        if field.several:
            size = _SIZES.get(name, 3)
            if not isinstance(value, (list, tuple)) or len(value) != size:
                raise VehicleError(f"{where}: {place}{name} must be a list of {size}; given {value!r}")
        for each in _flat(value):
            if not _is(each, str if name in _TEXTS else float):
                raise VehicleError(f"{where}: {place}{name} must hold {_words(name)}; given {each!r}")
            if field.range is not None and each not in field.range:
                raise VehicleError(f"{where}: {place}{name} must be {field.range}; given {each}")
        values[name] = _tupled(value)
    return values


def _offset(places: tuple[tuple[float, float], ...], where: str) -> tuple[float, float]:
    """|x| and |y| of all rotors; VehicleError for places that the dynamics do not support."""
    for place, (right_x, right_y), corner in zip(places, SIGNS, CORNERS, strict=True):
        if not isinstance(place, tuple) or len(place) != 2:
            raise VehicleError(f"{where}: rotor_places must hold pairs x, y; given {place!r}")
        if place[0] * right_x <= 0.0 or place[1] * right_y <= 0.0:
            raise VehicleError(
                f"{where}: rotor_places has {list(place)} where the {corner} rotor belongs; supported: an X of four "
                f"rotors in the order {', '.join(CORNERS)}, x forward and y left"
            )
    x, y = (sum(abs(place[axis]) for place in places) / 4.0 for axis in (0, 1))
    for place in places:
        if abs(abs(place[0]) - x) > _UNEQUAL * x or abs(abs(place[1]) - y) > _UNEQUAL * y:
            raise VehicleError(
                f"{where}: rotor_places has {list(place)}, and the mean of |x|, |y| is {x:g}, {y:g}; supported: rotors "
                "with equal |x| and equal |y|"
            )
    return x, y


def _direction(spins: tuple[str, ...], where: str) -> float:
    """1 for front right ccw, -1 for front right cw; VehicleError for others."""
    if spins not in (SPINS, REVERSED):
        raise VehicleError(
            f"{where}: rotor_spins {list(spins)} is not supported; allowed: {list(SPINS)} or {list(REVERSED)}"
        )
    return 1.0 if spins == SPINS else -1.0


def _is(value: object, kind: type) -> bool:
    if kind is str:
        return isinstance(value, str)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _words(name: str) -> str:
    return "texts in quotes" if name in _TEXTS else "finite numbers"


def _flat(value: Any) -> list[Any]:
    return [leaf for each in value for leaf in _flat(each)] if isinstance(value, (list, tuple)) else [value]


def _tupled(value: Any) -> Any:
    """Lists as tuples and whole numbers as floats."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_tupled, value))
    return float(value) if isinstance(value, int) else value
