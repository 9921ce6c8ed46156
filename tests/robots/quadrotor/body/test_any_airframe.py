"""quadrotor=any: the airframes that are drawn, and how they fly."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from robots.options import OptionError
from robots.quadrotor.body import dynamics
from robots.quadrotor.body.any_airframe import SHOWN, TYPICAL, draw_vehicles, hover_speed, shown_entries
from robots.quadrotor.body.drawn_airframe import DrawnAirframe
from robots.quadrotor.body.kernels import PUSH, TURN_GAIN
from robots.quadrotor.body.parameters import GRAVITY, PRESETS, QuadrotorParameters
from robots.quadrotor.body.randomization import Randomization, draw
from robots.quadrotor.body.vehicle import VEHICLE, vehicle_row
from robots.quadrotor.tasks.hover import HoverOptions, QuadrotorHover

CPU, H, DOUBLE = torch.device("cpu"), 0.01, torch.float64
ANY = QuadrotorHover(HoverOptions(quadrotor="any"), dtype=DOUBLE)


def vehicles(num: int, dtype: torch.dtype = DOUBLE) -> Tensor:
    """(num, 15) drawn airframes."""
    return draw_vehicles(num, torch.Generator().manual_seed(0), dtype)


def parameters(row: Tensor) -> QuadrotorParameters:
    """A drawn airframe (15,) as parameters."""
    m, jx, jy, jz, x, y, c0, c1, c2, kappa, idle, up, down, across, along = row.tolist()
    return replace(
        TYPICAL,
        mass=m,
        inertia=(jx, jy, jz),
        rotor_offset=(x, y),
        thrust_curve=(c0, c1, c2),
        torque_per_thrust=kappa,
        rotor_speed_min=idle,
        rotor_time_up=up,
        rotor_time_down=down,
        drag=(across, along),
    )


def between(values: Tensor, low: float, high: float, spread: float = 0.9) -> None:
    """All values lie between bounds (but for rounding) and fill at least `spread` of the range."""
    assert values.min() >= low * (1.0 - 1e-6)
    assert values.max() <= high * (1.0 + 1e-6)
    assert values.max() - values.min() > spread * (high - low)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_drawn_airframes_cover_the_ranges(dtype: torch.dtype) -> None:
    m, jx, jy, jz, x, y, c0, c1, c2, kappa, idle, up, down, across, _ = vehicles(20_000, dtype).double().unbind(1)
    full, arm = c0 + c1 + c2, torch.hypot(x, y)
    between(m, 0.02, 3.5)
    between(m.log(), math.log(0.02) - 1e-6, math.log(3.5))
    between(4.0 * full / (m * GRAVITY), 1.3, 5.0)
    between(arm / m ** (1.0 / 3.0), 0.16 * math.exp(-0.3), 0.16 * math.exp(0.3))
    between(jx / (m * arm * arm), 0.065, 0.4)
    between(arm * full / jx, 40.0, 1600.0)
    between(up, 0.005, 0.25)
    between(down, 0.005, 0.3)
    between(kappa / arm, 0.045, 0.6)
    between(across / m, 0.0, 0.6)
    assert ((down == up).double().mean() - 0.5).abs() < 0.02
    assert (down >= up).all()
    assert not idle.any()
    # no rigid body's principal moments break the triangle inequality
    assert (jz < jx + jy).all()
    assert (jx < jy + jz).all()
    assert (jy < jz + jx).all()
    # mass is log-uniform: as many airframes below the geometric mean as above
    assert ((m < math.sqrt(0.02 * 3.5)).double().mean() - 0.5).abs() < 0.02


def proportions(rows: Tensor) -> dict[str, Tensor]:
    """Quantities (B,) in which the presets are to lie inside of what is drawn, of airframes (B, 15)."""
    m, jx, _, _, x, y, c0, c1, c2, _, _, up, down, _, _ = rows.unbind(1)
    full, arm = c0 + c1 + c2, torch.hypot(x, y)
    return {
        "mass": m,
        "thrust over weight": 4.0 * full / (m * GRAVITY),
        "arm": arm / m ** (1.0 / 3.0),
        "inertia": jx / (m * arm * arm),
        "turn": arm * full / jx,
        "lag up": up,
        "lag down": down,
    }


def test_the_ranges_cover_the_presets() -> None:
    """But for the thrust of flightmare, and for cf2x, whose rotors have no lag."""
    drawn = proportions(vehicles(20_000))
    flown = proportions(torch.tensor([vehicle_row(preset) for preset in PRESETS.values()], dtype=DOUBLE))
    outside = {
        (name, quantity)
        for quantity, values in flown.items()
        for name, value in zip(PRESETS, values, strict=True)
        if not drawn[quantity].min() <= value <= drawn[quantity].max()
    }
    assert outside == {("flightmare", "thrust over weight"), ("cf2x", "lag up"), ("cf2x", "lag down")}


def test_thrust_rises_with_speed_and_carries_the_weight_within_the_commands() -> None:
    rows = vehicles(20_000)
    _, c1, c2 = rows[:, 6:9].unbind(1)
    assert (c1 >= 0.0).all()
    assert (c1 + 2.0 * c2 > 0.0).all()  # the slope at full speed; it is linear in between
    speed = hover_speed(rows).squeeze(1)
    assert ((speed > 0.1) & (speed < 0.95)).all()
    for i in range(10):
        assert speed[i].item() == pytest.approx(parameters(rows[i]).hover_rotor_speed, rel=1e-12)


def test_coefficients_of_a_drawn_airframe_are_those_of_its_parameters() -> None:
    rows = vehicles(20)
    key = torch.zeros(20, dtype=torch.int64)
    hidden = draw(Randomization(), 20, torch.Generator().manual_seed(0), key, DOUBLE)._replace(vehicle=rows)
    frames = DrawnAirframe(TYPICAL, H, H, DOUBLE, CPU)(hidden, key)
    for i in range(20):
        expected = dynamics.airframe(parameters(rows[i]), H, DOUBLE, CPU)[0]
        torch.testing.assert_close(frames[i], expected, rtol=1e-12, atol=1e-14)


def test_a_row_of_parameters_is_in_the_order_of_a_drawn_one() -> None:
    assert parameters(torch.tensor(vehicle_row(TYPICAL), dtype=DOUBLE)) == TYPICAL
    assert len(vehicle_row(TYPICAL)) == VEHICLE


def test_every_drawn_airframe_hovers_at_its_own_command() -> None:
    state = ANY.reset(200, 0)
    level = torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=DOUBLE).expand(200, 4)
    still = torch.zeros(200, 3, dtype=DOUBLE)
    state = state._replace(body=state.body.changed(velocity=still, angular_velocity=still, quaternion=level))
    command = dict(zip(ANY.spec.privileged, ANY.privileged(state).unbind(1), strict=True))[SHOWN[2]]
    start = state.body
    for _ in range(20):
        state = ANY.step(state, command.unsqueeze(1).expand(-1, 4)).state
    torch.testing.assert_close(state.body.position, start.position, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(state.body.angular_velocity, still, rtol=0.0, atol=1e-12)


def test_typical_airframe_hovers_at_command_zero() -> None:
    assert ANY.spec.robot == "any"
    assert ANY.spec.neutral_action == pytest.approx((0.0,) * 4, abs=1e-12)


def test_privileged_entries_follow_from_the_airframe() -> None:
    rows = vehicles(5)
    seen = shown_entries(rows)
    assert seen.shape == (5, len(SHOWN))
    for i in range(5):
        p = parameters(rows[i])
        (x, y), full = p.rotor_offset, p.thrust(1.0)
        turns = [full * lever / j for lever, j in zip((y, x, p.torque_per_thrust), p.inertia, strict=True)]
        logs = (p.mass, p.thrust_to_weight), (*turns, p.rotor_time_up, p.rotor_time_down)
        expected = [*(math.log(v) for v in logs[0]), dynamics.hover_action(p), *(math.log(v) for v in logs[1])]
        expected += [p.drag[0] / p.mass, p.drag[1] / p.mass, p.thrust_curve[1] / full]
        assert seen[i].tolist() == pytest.approx(expected, rel=1e-12)


def test_battery_takes_thrust_with_the_time_of_the_episode() -> None:
    """After k steps of h the coefficients of thrust are those at the start times exp(-s k h); no other changes."""
    task = QuadrotorHover(HoverOptions(quadrotor="any", battery_sag=0.05), dtype=DOUBLE)
    state = task.reset(50, 0)
    sag = state.hidden.battery_sag
    between(sag, 0.0, 0.05)
    first = task.hidden.frame(state.hidden, state.steps)
    for steps in (1, 250):
        later = task.hidden.frame(state.hidden, state.steps + steps)
        charge = torch.exp(-sag * steps * H)
        torch.testing.assert_close(later[:, PUSH:TURN_GAIN], charge * first[:, PUSH:TURN_GAIN], rtol=1e-13, atol=1e-15)
        assert torch.equal(later[:, TURN_GAIN:], first[:, TURN_GAIN:])
        assert torch.equal(later[:, :PUSH], first[:, :PUSH])
    after = task.step(state, torch.zeros(50, 4)).state
    assert torch.equal(task.privileged(after)[:, 16], sag[:, 0] * H)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interface": "ctbr"}, ("interface=ctbr", "quadrotor=any", "interface=motors")),
        ({"physics": "mujoco"}, ("physics=mujoco", "quadrotor=any")),
        ({"idle_speed": 0.1}, ("idle_speed=0.1", "quadrotor=any")),
    ],
)
def test_options_that_a_drawn_airframe_cannot_have_are_refused(options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(OptionError) as caught:
        QuadrotorHover(HoverOptions(quadrotor="any", **options))  # type: ignore[arg-type]
    for word in words:
        assert word in str(caught.value)
