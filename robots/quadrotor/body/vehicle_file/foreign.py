"""Drones from the files of other projects: URDF of gym-pybullet-drones, JSON of rl-tools and RAPTOR."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from hgrpo_errors import nearest
from hgrpo_files import read_bytes
from robots.quadrotor.body.parameters import GRAVITY, PRESETS, QuadrotorParameters, preset
from robots.quadrotor.body.vehicle_file.keys import CORNERS, SIGNS, VehicleError
from robots.quadrotor.body.vehicle_file.limits import problem_of
from robots.quadrotor.body.vehicle_file.read import ENDING, designed_gains, read_vehicle

_NO_LAG = "placeholder 0; measure it or fit it with hgrpo identify"
_NO_DRAG = "placeholder 0; measure it or fit it with hgrpo identify"


class Found(NamedTuple):
    """A drone and what its source does not have."""

    parameters: QuadrotorParameters
    unknown: dict[str, str]
    """Remarks on keys whose values are placeholders."""


def find_vehicle(source: str) -> Found:
    """The drone of a preset, a vehicle file, a URDF or a JSON file; raises VehicleError for another word."""
    path = Path(source)
    readers = {ENDING: lambda path: Found(read_vehicle(path), {}), ".urdf": read_urdf, ".json": read_json}
    if path.suffix in readers:
        found = readers[path.suffix](path)
        problem = problem_of(found.parameters)
        if problem:
            raise VehicleError(f"{path}: {problem}")
        return found
    if source not in PRESETS:
        raise VehicleError(
            f"unknown drone {source!r}; {nearest(source, tuple(PRESETS))}, or a file NAME{ENDING}, NAME.urdf or "
            "NAME.json"
        )
    return Found(preset(source), {})


def read_urdf(path: Path) -> Found:
    """The drone of a URDF with the element <properties> of gym-pybullet-drones; an X frame only."""
    try:
        root = ElementTree.fromstring(read_bytes(path))
    except ElementTree.ParseError as error:
        raise VehicleError(f"{path} cannot be read as URDF: {error}") from error
    mass = _attribute(path, root, ".//inertial/mass", "value")
    inertia = tuple(_attribute(path, root, ".//inertial/inertia", f"i{axis}{axis}") for axis in "xyz")
    arm, kf, km, lift = (_attribute(path, root, "properties", key) for key in ("arm", "kf", "km", "thrust2weight"))
    for link in root.iter("link"):
        origin = link.find("inertial/origin")
        if link.get("name", "").startswith("prop") and origin is not None:
            place = [float(word) for word in origin.get("xyz", "0 0 0").split()]
            if min(abs(place[0]), abs(place[1])) < 1e-6:
                raise VehicleError(f"{path}: {link.get('name')} is at {place}; supported: an X of four rotors")
    hover = 4.0 * math.sqrt(mass * GRAVITY / (4.0 * kf)) * 2.0 * math.pi / 60.0  # sum of the rotor speeds [rad/s]
    properties = root.find("properties")
    assert properties is not None  # its attributes were read
    coefficients = [properties.get(f"drag_coeff_{axis}") for axis in ("xy", "z")]
    drag = tuple(hover * float(each) for each in coefficients if each is not None)
    unknown = {"rotor_time_up": _NO_LAG, "rotor_time_down": _NO_LAG, "autopilot": "designed for the lag"}
    parameters = QuadrotorParameters(
        name=path.stem,
        source=f"{path.name}; drag of its rotor model evaluated at hover" if len(drag) == 2 else path.name,
        mass=mass,
        inertia=inertia,  # type: ignore[arg-type]
        rotor_offset=(arm / math.sqrt(2.0), arm / math.sqrt(2.0)),
        thrust_curve=(0.0, 0.0, lift * mass * GRAVITY / 4.0),
        torque_per_thrust=km / kf,
        rotor_speed_min=0.0,
        rotor_time_up=0.0,
        rotor_time_down=0.0,
        drag=drag if len(drag) == 2 else (0.0, 0.0),
        gains=designed_gains(0.0),
    )
    return Found(parameters, unknown if len(drag) == 2 else unknown | {"drag": _NO_DRAG})


def read_json(path: Path) -> Found:
    """The drone of a parameter file of rl-tools or RAPTOR: its table `dynamics`."""
    try:
        dynamics = json.loads(read_bytes(path).decode())["dynamics"]
        low, high = float(dynamics["action_limit"]["min"]), float(dynamics["action_limit"]["max"])
        places, turns = dynamics["rotor_positions"], [each[2] for each in dynamics["rotor_torque_directions"]]
        c0, c1, c2 = _same(path, dynamics, "rotor_thrust_coefficients")
        moments = dynamics["J_inv"] if "J_inv" in dynamics else dynamics["J"]
        diagonal = [float(moments[axis][axis]) for axis in range(3)]
        parameters = QuadrotorParameters(
            name=path.stem,
            source=f"{path.name}; it models no drag",
            mass=float(dynamics["mass"]),
            inertia=tuple(1.0 / each if "J_inv" in dynamics else each for each in diagonal),  # type: ignore[arg-type]
            rotor_offset=(abs(float(places[0][0])), abs(float(places[0][1]))),
            thrust_curve=(c0, c1 * high, c2 * high * high),
            torque_per_thrust=_same(path, dynamics, "rotor_torque_constants") * -turns[0],
            rotor_speed_min=low / high,
            rotor_time_up=_same(path, dynamics, "rotor_time_constants_rising"),
            rotor_time_down=_same(path, dynamics, "rotor_time_constants_falling"),
            drag=(0.0, 0.0),
            gains=designed_gains(float(dynamics["rotor_time_constants_rising"][0])),
        )
    except (ValueError, TypeError, LookupError, ZeroDivisionError) as error:
        if isinstance(error, VehicleError):
            raise
        raise VehicleError(f"{path} is no parameter file of rl-tools: {error!r}") from error
    (x, y), turning = parameters.rotor_offset, [-turns[0], turns[0], -turns[0], turns[0]]
    for place, (sx, sy), corner in zip(places, SIGNS, CORNERS, strict=True):
        if abs(place[0] - sx * x) > 0.01 * x or abs(place[1] - sy * y) > 0.01 * y:
            raise VehicleError(
                f"{path}: rotor_positions has {place}; supported: an X, whose {corner} rotor is at {[sx * x, sy * y]}"
            )
    if [-turn for turn in turns] != turning:
        raise VehicleError(f"{path}: rotor_torque_directions {turns} is not supported; allowed: alternating directions")
    return Found(parameters, {"drag": _NO_DRAG, "autopilot": "designed for the lag"})


def _same(path: Path, dynamics: Mapping[str, Any], key: str) -> Any:
    """The value that all rotors have."""
    values = dynamics[key]
    if any(value != values[0] for value in values):
        raise VehicleError(f"{path}: {key} differs between rotors, {values}; supported: four equal rotors")
    return values[0]


def _attribute(path: Path, root: ElementTree.Element, element: str, name: str) -> float:
    """A number of the first such element; VehicleError if it is missing or no number."""
    found = root.find(element)
    text = None if found is None else found.get(name)
    where = f"<{element.rpartition('/')[2]} {name}=...>"
    if text is None:
        raise VehicleError(f"{path} has no {where}; hgrpo vehicle PRESET --write NAME{ENDING} writes a file to fill in")
    try:
        return float(text)
    except ValueError:
        raise VehicleError(f"{path}: {where} must be a number; given {text!r}") from None
