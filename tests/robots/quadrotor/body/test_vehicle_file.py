"""Vehicle files: read, refused, written, converted from other projects, and judged."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

import robots
from hgrpo_errors import HgrpoError
from robots.quadrotor.body.parameters import PRESETS, preset
from robots.quadrotor.body.vehicle_file.figures import odd_lines
from robots.quadrotor.body.vehicle_file.foreign import find_vehicle
from robots.quadrotor.body.vehicle_file.read import read_vehicle, vehicle_from_text, vehicle_text, with_vehicle
from robots.quadrotor.body.vehicle_file.write import write_vehicle

EXAMPLE = Path(__file__).parents[4] / "examples" / "my_quad.toml"
URDF = """<robot name="cf2">
  <properties arm="0.0397" kf="3.16e-10" km="7.94e-12" thrust2weight="2.25" {drag}/>
  <link name="base_link"><inertial><mass value="0.027"/>
  <inertia ixx="1.4e-5" iyy="1.4e-5" izz="2.17e-5"/></inertial></link>
  <link name="prop0_link"><inertial><origin xyz="{place} 0"/></inertial></link>
</robot>"""
DRAG = 'drag_coeff_xy="9.1785e-7" drag_coeff_z="10.311e-7"'


def changed(tmp_path: Path, key: str, line: str) -> Path:
    """The example with another line for a key; an empty line leaves the key out."""
    text = EXAMPLE.read_text()
    start = text.index(f"\n{key} = ") + 1
    end = text.index("\n]", start) + 2 if key == "rotor_places" else text.index("\n", start)
    path = tmp_path / "drone.toml"
    path.write_text(text[:start] + line + text[end:])
    return path


@pytest.mark.parametrize("name", list(PRESETS))
def test_vehicle_file_of_a_preset_holds_its_numbers(name: str, tmp_path: Path) -> None:
    write_vehicle(tmp_path / "mine.toml", preset(name))
    read = read_vehicle(tmp_path / "mine.toml")
    assert read == dataclasses.replace(preset(name), name="mine")
    assert vehicle_from_text(vehicle_text(read)) == read


def test_vehicle_file_flies_as_its_preset(tmp_path: Path) -> None:
    write_vehicle(tmp_path / "mine.toml", preset("rl-tools"))
    ours = robots.make("quadrotor-hover", quadrotor=str(tmp_path / "mine.toml"))
    theirs = robots.make("quadrotor-hover", quadrotor="rl-tools")
    action = torch.full((3, 4), 0.2)
    assert ours.spec.robot == "mine"
    assert torch.equal(
        ours.step(ours.reset(3, 0), action).observation, theirs.step(theirs.reset(3, 0), action).observation
    )


def test_vehicle_example_is_not_odd() -> None:
    assert list(odd_lines(read_vehicle(EXAMPLE))) == []


def test_vehicle_path_is_replaced_by_numbers_that_outlive_the_file(tmp_path: Path) -> None:
    path = changed(tmp_path, "mass", "mass = 0.7")
    options = with_vehicle({"quadrotor": str(path), "mass": "0.1"})
    path.unlink()
    assert options["mass"] == "0.1"
    assert robots.make("quadrotor-hover", **options).parameters.mass == 0.7  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("key", "line", "words"),
    [
        ("mass", "mass = 27", ("mass", "25 kg", "given 27")),
        ("mass", "mas = 0.6", ("'mas'", "'mass'")),
        ("mass", "", ("'mass'", "missing", "kg")),
        ("mass", "mass = '0.6'", ("mass", "'0.6'")),
        ("mass", "mass = true", ("mass", "True")),
        ("mass", "mass = nan", ("mass", "nan")),
        ("mass", "mass = 3.5", ("times the weight", "3.5")),
        ("inertia", "inertia = [2.6e-3, 2.4e-3]", ("inertia", "list of 3")),
        ("inertia", "inertia = [2.6e-6, 2.4e-6, 4.4e-6]", ("Jxx", "2.6e-06", "arm^2")),
        ("rotor_time_up", "rotor_time_up = 35", ("rotor_time_up", "1 s", "35")),
        ("drag", "drag = [-0.1, 0.2]", ("drag", "-0.1")),
        ("thrust_curve", "thrust_curve = [0.0, 8.0, -5.0]", ("thrust_curve", "rises")),
        ("name", 'name = "cf2x"', ("'cf2x'", "preset")),
        ("name", 'name = "a/b"', ("'a/b'",)),
        ("max_tilt", "max_tilt = 40", ("autopilot.max_tilt", "rad", "40")),
        ("max_tilt", "tilt = 0.6", ("autopilot.tilt", "max_tilt")),
        ("rotor_spins", 'rotor_spins = ["ccw", "ccw", "cw", "cw"]', ("rotor_spins", "allowed")),
        (
            "rotor_places",
            "rotor_places = [[0.1, 0.0], [0.0, -0.1], [-0.1, 0.0], [0.0, 0.1]]",
            ("[0.1, 0.0]", "front right", "supported: an X"),
        ),
        (
            "rotor_places",
            "rotor_places = [[0.1, -0.1], [-0.1, -0.1], [-0.1, 0.1], [0.12, 0.1]]",
            ("equal |x|",),
        ),
    ],
)
def test_vehicle_file_that_cannot_be_used_is_refused(
    key: str, line: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    path = changed(tmp_path, key, line)
    with pytest.raises(HgrpoError) as caught:
        robots.make("quadrotor-hover", quadrotor=str(path))
    assert "\n" not in str(caught.value)
    for word in (str(path), *words):
        assert word in str(caught.value)


def test_vehicle_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HgrpoError, match=r"cannot read .*none\.toml"):
        robots.make("quadrotor-hover", quadrotor=str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("mass 3")
    with pytest.raises(HgrpoError, match=r"bad\.toml cannot be read as TOML"):
        read_vehicle(tmp_path / "bad.toml")
    with pytest.raises(HgrpoError, match=r"vehicle file NAME\.toml"):
        robots.make("quadrotor-hover", quadrotor="zzz")


def test_vehicle_with_reversed_rotors_yaws_the_other_way(tmp_path: Path) -> None:
    other = changed(tmp_path, "rotor_spins", 'rotor_spins = ["cw", "ccw", "cw", "ccw"]')
    yaw = []
    for path in (EXAMPLE, other):
        task = robots.make("quadrotor-hover", quadrotor=str(path))
        state = before = task.reset(1, 0)
        for _ in range(20):
            state = task.step(state, torch.tensor([[0.5, -0.5, 0.5, -0.5]])).state
        yaw.append(float((state.body.angular_velocity - before.body.angular_velocity)[0, 2]))
    assert yaw[0] < -0.1
    assert yaw[1] > 0.1


def test_vehicle_of_a_gym_pybullet_drones_urdf_is_the_preset(tmp_path: Path) -> None:
    path = tmp_path / "cf2x.urdf"
    path.write_text(URDF.format(drag=DRAG, place="0.028 0.028"))
    found, theirs = find_vehicle(str(path)), preset("cf2x")
    ours = dataclasses.replace(found.parameters, name="cf2x", source=theirs.source, gains=theirs.gains)
    assert ours.inertia == theirs.inertia
    for name in ("mass", "torque_per_thrust", "rotor_offset", "drag", "thrust_curve"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name)), name
    assert set(found.unknown) == {"rotor_time_up", "rotor_time_down", "autopilot"}
    path.write_text(URDF.format(drag="", place="0.0397 0.0"))
    with pytest.raises(HgrpoError, match="supported: an X"):
        find_vehicle(str(path))
    path.write_text("<robot/>")
    with pytest.raises(HgrpoError, match="<mass value"):
        find_vehicle(str(path))


def test_vehicle_of_an_rl_tools_file_is_the_preset(tmp_path: Path) -> None:
    theirs, path = preset("mrs"), tmp_path / "mrs.json"
    (x, y), (c0, c1, c2) = theirs.rotor_offset, theirs.thrust_curve
    dynamics = {
        "rotor_positions": [[x, -y, 0.0], [-x, -y, 0.0], [-x, y, 0.0], [x, y, 0.0]],
        "rotor_torque_directions": [[0.0, 0.0, sign] for sign in (-1.0, 1.0, -1.0, 1.0)],
        "rotor_thrust_coefficients": [[c0, c1 / 2000.0, c2 / 2000.0**2]] * 4,
        "rotor_torque_constants": [theirs.torque_per_thrust] * 4,
        "rotor_time_constants_rising": [theirs.rotor_time_up] * 4,
        "rotor_time_constants_falling": [theirs.rotor_time_down] * 4,
        "mass": theirs.mass,
        "J": [[0.0] * 3] * 3,
        "J_inv": [[(1.0 / theirs.inertia[row]) * (row == column) for column in range(3)] for row in range(3)],
        "action_limit": {"min": 0.0, "max": 2000.0},
    }
    path.write_text(json.dumps({"dynamics": dynamics}))
    ours = find_vehicle(str(path)).parameters
    for name in ("mass", "inertia", "rotor_offset", "thrust_curve", "torque_per_thrust", "rotor_time_up"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name)), name
    path.write_text(json.dumps({"dynamics": dynamics | {"rotor_torque_constants": [0.01, 0.02, 0.01, 0.01]}}))
    with pytest.raises(HgrpoError, match="rotor_torque_constants"):
        find_vehicle(str(path))
    path.write_text("{}")
    with pytest.raises(HgrpoError, match=r"mrs\.json is no parameter file"):
        find_vehicle(str(path))


def test_vehicle_oddities_have_one_line_each() -> None:
    good = read_vehicle(EXAMPLE)
    plate = dataclasses.replace(good, inertia=(good.inertia[0], good.inertia[1], 2.0 * sum(good.inertia[:2])))
    assert [line.split(" is ")[0] for line in odd_lines(plate)][-1] == "Jzz / (Jxx + Jyy)"
    heavy = dataclasses.replace(good, mass=2.0 * good.mass)
    assert any("arm / 0.16 m" in line or "J" in line for line in odd_lines(heavy))
    assert math.isfinite(good.hover_rotor_speed)


def test_vehicle_with_a_straight_thrust_curve_hovers(tmp_path: Path) -> None:
    read = read_vehicle(changed(tmp_path, "thrust_curve", "thrust_curve = [0.0, 6.0, 0.0]"))
    assert 4.0 * read.thrust(read.hover_rotor_speed) == pytest.approx(read.mass * 9.81)
