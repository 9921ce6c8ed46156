"""Presets against numbers worked out by hand from their sources."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from robots.quadrotor.body.dynamics import hover_action
from robots.quadrotor.body.parameters import PRESETS, preset

# name: full thrust of one rotor [N], thrust over weight, rotor speed at hover, idle speed; each row worked out below
KNOWN = {
    # Given by the source: 2.25 m g / 4 = 2.25 * 0.027 * 9.81 / 4. A pure square curve hovers at sqrt(1 / 2.25) = 2/3.
    "cf2x": (0.148989375, 2.25, 2.0 / 3.0, 0.0),
    # 3.16e-10 * 21702^2 = 3.16e-10 * 470976804; four of them over 0.027 * 9.81 = 0.26487 N; hover at 1 / sqrt of that.
    "learning-to-fly": (0.148828670064, 2.2475731, 0.6670265, 0.0),
    # 0.00352526 + 0.01437313 + 0.09223048; four over 0.0306 * 9.81 = 0.300186 N; hover solves
    # 0.09223048 u^2 + 0.01437313 u + 0.00352526 = 0.0750465:  u = (-0.01437313 + sqrt(0.02659234)) / 0.18446096.
    "rl-tools": (0.11012887, 1.4674751, 0.8061242, 0.0),
    # Given by the source: 0.2 N; four over 0.04338 * 9.81 = 0.4255578 N. With f = k1 n + k2 n^2, n in rpm,
    # k1 = -3.1334273e-7, k2 = 4.4073549e-10: f = 0.2 at n = 21660.718, f = 0.10638945 (hover) at 15896.296,
    # f = 0.02136263 (idle) at 7326.616.
    "cf21B_500": (0.2, 1.8798856, 15896.296 / 21660.718, 7326.616 / 21660.718),
    # The next five are of the raptor repository.
    # -1.7689987 + 11.5082432 + 11.9684282; four over 0.73 * 9.81 = 7.1613 N; hover solves
    # 11.9684282 u^2 + 11.5082432 u - 1.7689987 = 1.790325.
    "flightmare": (21.7076726, 12.1249899, 0.2462307, 0.0),
    # 0.7846630 + 9.1554012 + 18.0055694; four over 3.35 * 9.81 = 32.8635 N; hover: ... = 8.215875.
    "fs": (27.9456336, 3.4014190, 0.4366703, 0.0),
    # c1 = 0.0038360811 * 2000 = 7.6721621 and c2 = 1.3298254e-6 * 2000^2 = 5.3193014, less 1.7689987; four over
    # 1.7 * 9.81 = 16.677 N; hover: ... = 4.16925.
    "mrs": (11.2224648, 2.6917227, 0.5580693, 0.0),
    # -0.5300192 + 8.9714354 - 0.8911789; four over 0.782 * 9.81 = 7.67142 N; hover: ... = 1.917855.
    "race": (7.5502373, 3.9368134, 0.2806776, 0.0),
    # 15.9261199; four over 2 * 9.81 = 19.62 N; hover at sqrt(4.905 / 15.9261199).
    "x500": (15.9261199, 3.2469154, 0.5549636, 0.0),
}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_thrust_to_weight_and_hover_speed_follow_from_the_source(name: str) -> None:
    parameters, (full, ratio, hover, idle) = preset(name), KNOWN[name]
    assert parameters.thrust(1.0) == pytest.approx(full, rel=1e-7)
    assert parameters.thrust_to_weight == pytest.approx(ratio, rel=1e-7)
    assert parameters.hover_rotor_speed == pytest.approx(hover, rel=1e-6)
    assert parameters.rotor_speed_min == pytest.approx(idle, rel=1e-6)


def test_every_preset_has_a_known_answer() -> None:
    assert set(PRESETS) == set(KNOWN)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_hover_action_carries_the_weight(name: str) -> None:
    """u = u_min + (1 - u_min) (a + 1) / 2 and 4 thrust(u) = m g."""
    parameters = preset(name)
    action, low = hover_action(parameters), parameters.rotor_speed_min
    assert -1.0 < action < 1.0
    speed = low + (1.0 - low) * (action + 1.0) / 2.0
    assert 4.0 * parameters.thrust(speed) == pytest.approx(parameters.mass * 9.81, rel=1e-12)


def test_cf2x_drag_is_taken_at_hover() -> None:
    """Its rotors hover at sqrt(0.0662175 / 3.16e-10) = 14475.81 rpm = 1515.903 rad/s each; times 4 and 9.1785e-7."""
    across, along = preset("cf2x").drag
    assert across == pytest.approx(4.0 * 1515.903 * 9.1785e-7, rel=1e-6)
    assert along == pytest.approx(4.0 * 1515.903 * 10.311e-7, rel=1e-6)


def test_thrust_is_a_quadratic_of_rotor_speed() -> None:
    parameters = replace(preset("cf2x"), thrust_curve=(1.0, 2.0, 3.0))
    assert [parameters.thrust(u) for u in (0.0, 0.5, 1.0)] == [1.0, 2.75, 6.0]


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_presets_are_physical(name: str) -> None:
    p = preset(name)
    jx, jy, jz = p.inertia
    assert p.name == name
    assert p.source
    assert min(p.mass, *p.rotor_offset, p.torque_per_thrust, jx, jy, jz) > 0.0
    assert 0.0 <= p.rotor_speed_min < p.hover_rotor_speed < 1.0
    assert min(p.rotor_time_up, p.rotor_time_down, *p.drag) >= 0.0
    # no rigid body's principal moments break the triangle inequality
    assert jx + jy > jz
    assert jy + jz > jx
    assert jz + jx > jy
    assert math.isfinite(p.thrust_to_weight)


def test_an_unknown_preset_names_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"^unknown quadrotor preset 'cf2'; did you mean 'cf2x'\?$"):
        preset("cf2")
    with pytest.raises(ValueError, match=r"^unknown quadrotor preset 'boeing'; allowed: cf2x, learning-to-fly, "):
        preset("boeing")
