"""Hidden factors in the coefficients of the equations of motion: the airframe of other parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from support import rigid_body
from torch import Tensor

from robots.quadrotor.body import dynamics
from robots.quadrotor.body.drawn_airframe import DrawnAirframe
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.kernels import (
    DRAG,
    FRAME,
    GYROSCOPIC,
    LAG_FULL,
    LAG_HALF,
    LAG_START,
    PUSH,
    SPEED_MIN,
    TURN_GAIN,
    WIND,
)
from robots.quadrotor.body.parameters import (
    GRAVITY,
    PRESETS,
    QuadrotorParameters,
    preset,
)
from robots.quadrotor.body.randomization import HiddenParameters
from robots.simulator import select

CPU = torch.device("cpu")
H = 0.01  # s
ROWS = 7
# entries of an airframe's row
SPEED, START, HALF, FULL = (
    slice(i, j) for i, j in ((SPEED_MIN, LAG_START), (LAG_START, LAG_HALF), (LAG_HALF, LAG_FULL), (LAG_FULL, PUSH))
)
CURVE, TURN, FREE = slice(PUSH, TURN_GAIN), slice(TURN_GAIN, GYROSCOPIC), slice(GYROSCOPIC, DRAG)
ACROSS, EXCESS, PULL = slice(DRAG, DRAG + 1), slice(DRAG + 1, WIND), slice(WIND, FRAME)
EVERY_PRESET = pytest.mark.parametrize("name", sorted(PRESETS))
PRECISIONS = pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])


def hidden_factors(dtype: torch.dtype = torch.float64, rows: int = ROWS, seed: int = 0) -> HiddenParameters:
    """Factors between 0.5 and 1.5, without wind."""
    generator = torch.Generator().manual_seed(seed)

    def factor(size: int) -> Tensor:
        return 0.5 + torch.rand(rows, size, generator=generator, dtype=dtype)

    still, counter = torch.zeros(rows, 3, dtype=dtype), torch.zeros(rows, dtype=torch.int64)
    return HiddenParameters(factor(1), factor(4), factor(3), factor(1), still, still, counter)


def same_rotors(hidden: HiddenParameters) -> HiddenParameters:
    """The same with the first rotor's thrust factor for all four."""
    return hidden._replace(rotor_thrust=hidden.rotor_thrust[:, :1].expand(-1, 4).contiguous())


def changed(p: QuadrotorParameters, hidden: HiddenParameters, row: int, rotor: int = 0) -> QuadrotorParameters:
    """The parameters of one row; all rotors pull as `rotor` does."""
    thrust, lag = hidden.rotor_thrust[row, rotor].item(), hidden.rotor_lag[row].item()
    jx, jy, jz = (j * k for j, k in zip(p.inertia, hidden.inertia[row].tolist(), strict=True))
    c0, c1, c2 = (c * thrust for c in p.thrust_curve)
    return replace(
        p,
        mass=p.mass * hidden.mass[row].item(),
        inertia=(jx, jy, jz),
        thrust_curve=(c0, c1, c2),
        rotor_time_up=p.rotor_time_up * lag,
        rotor_time_down=p.rotor_time_down * lag,
    )


def drawn(p: QuadrotorParameters, hidden: HiddenParameters, duration: float = H) -> Tensor:
    """(B, 30) coefficients."""
    return DrawnAirframe(p, duration, H, hidden.mass.dtype, CPU)(hidden, hidden.gust_steps)


@PRECISIONS
@EVERY_PRESET
def test_every_coefficient_is_that_of_the_changed_parameters(name: str, dtype: torch.dtype, rtol: float) -> None:
    p, hidden = preset(name), hidden_factors(dtype)
    frame = drawn(p, hidden)
    assert frame.shape == (ROWS, FRAME)
    for row in range(ROWS):
        alone = [dynamics.airframe(changed(p, hidden, row, rotor), H, dtype, CPU)[0] for rotor in range(4)]

        def assert_same(part: slice, atol: float = 0.0, row: int = row, expected: Tensor = alone[0]) -> None:
            torch.testing.assert_close(frame[row, part], expected[part], rtol=rtol, atol=atol)

        curves = torch.stack([a[CURVE].reshape(3, 4)[:, i] for i, a in enumerate(alone)], dim=1)
        torch.testing.assert_close(frame[row, CURVE].reshape(3, 4), curves, rtol=rtol, atol=0.0)
        for part in (HALF, FULL, TURN, ACROSS):
            assert_same(part)
        # a difference of moments up to four times the third loses digits
        assert_same(FREE, atol=4.0 * rtol)
        # a difference of drags of about 0.5 1/s
        assert_same(EXCESS, atol=rtol)
        for part in (SPEED, START, PULL):
            assert torch.equal(frame[row, part], alone[0][part])


@PRECISIONS
@EVERY_PRESET
def test_drag_yaw_torque_offset_and_idle_speed_are_those_of_the_changed_parameters(
    name: str, dtype: torch.dtype, rtol: float
) -> None:
    p, hidden, generator = preset(name), hidden_factors(dtype), torch.Generator().manual_seed(7)
    drag, torque, offset, idle = 0.5 + torch.rand(4, ROWS, 1, generator=generator, dtype=dtype)
    hidden = hidden._replace(drag=drag, yaw_torque=torque, rotor_offset=offset, idle_speed=idle)
    frame = drawn(p, hidden)
    for row in range(ROWS):
        k = drag[row].item()
        own = replace(
            changed(p, hidden, row),
            drag=(p.drag[0] * k, p.drag[1] * k),
            torque_per_thrust=p.torque_per_thrust * torque[row].item(),
            rotor_offset=(p.rotor_offset[0] * offset[row].item(), p.rotor_offset[1] * offset[row].item()),
            rotor_speed_min=p.rotor_speed_min * idle[row].item(),
        )
        expected = dynamics.airframe(own, H, dtype, CPU)[0]
        for part in (ACROSS, TURN, SPEED):
            torch.testing.assert_close(frame[row, part], expected[part], rtol=2.0 * rtol, atol=0.0)
        torch.testing.assert_close(frame[row, EXCESS], expected[EXCESS], rtol=0.0, atol=rtol)


def test_each_factor_of_its_own_leaves_the_others_alone() -> None:
    p, hidden = preset("cf21B_500"), hidden_factors()
    plain, twice = drawn(p, hidden), torch.full((ROWS, 1), 2.0, dtype=torch.float64)
    changes = {
        "drag": {DRAG, DRAG + 1},
        "yaw_torque": {TURN_GAIN + 2},
        "rotor_offset": {TURN_GAIN, TURN_GAIN + 1},
        "idle_speed": {SPEED_MIN},
    }
    for factor, expected in changes.items():
        frame = drawn(p, hidden._replace(**{factor: twice}))
        differ = (frame != plain).any(dim=0).nonzero().flatten().tolist()
        assert set(differ) == expected, factor
        torch.testing.assert_close(frame[:, differ], 2.0 * plain[:, differ], rtol=1e-14, atol=0.0)


def test_wind_and_gust_add_up_in_the_row() -> None:
    p, hidden, generator = preset("cf2x"), hidden_factors(), torch.Generator().manual_seed(3)
    wind, gust = torch.randn(2, ROWS, 3, generator=generator, dtype=torch.float64)
    frame = drawn(p, hidden._replace(wind=wind, gust=gust))
    assert torch.equal(frame[:, PULL], wind + gust)
    assert torch.equal(frame[:, :WIND], drawn(p, hidden)[:, :WIND])


def test_wind_accelerates_the_body() -> None:
    """v' = w - g e_z - d_xy/m v - ... of a level body at rest with hovering rotors: v = w t for a short time t."""
    frame, start, action = hovering(2)
    wind = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], dtype=torch.float64)
    frame[:, PULL] = wind
    end = rigid_body.step(start, action, frame, 1e-4)
    torch.testing.assert_close(end.velocity, 1e-4 * wind, rtol=1e-4, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rotors_without_lag_stay_without(dtype: torch.dtype) -> None:
    frame = drawn(preset("cf2x"), hidden_factors(dtype))
    assert not frame[:, LAG_START:PUSH].any()
    one_way = drawn(replace(preset("cf2x"), rotor_time_up=0.1), hidden_factors(dtype))
    assert (one_way[:, LAG_FULL] > 0.0).all()
    assert not one_way[:, LAG_FULL + 1].any()


@EVERY_PRESET
def test_a_drawn_drone_flies_like_one_that_is_built_so(name: str) -> None:
    """0.2 s of random commands while tumbling, against the airframe of the changed parameters."""
    rows, generator = 3, torch.Generator().manual_seed(1)
    p, hidden = preset(name), same_rotors(hidden_factors(rows=rows))
    unit = torch.rand(rows, 17, generator=generator, dtype=torch.float64) - 0.5
    start = QuadrotorState.of(
        position=unit[:, :3] + torch.tensor([0.0, 0.0, 50.0], dtype=torch.float64),
        velocity=4.0 * unit[:, 3:6],
        quaternion=unit[:, 6:10] / unit[:, 6:10].norm(dim=1, keepdim=True),
        angular_velocity=6.0 * unit[:, 10:13],
        rotor_speed=unit[:, 13:] + 0.5,
    )
    actions = 2.0 * torch.rand(20, rows, 4, generator=generator, dtype=torch.float64) - 1.0
    frame, end = drawn(p, hidden), start
    for action in actions:
        end = rigid_body.step(end, action, frame, H)
    for row in range(rows):
        only = slice(row, row + 1)
        alone, expected = dynamics.airframe(changed(p, hidden, row), H, torch.float64, CPU), select(start, only)
        for action in actions:
            expected = rigid_body.step(expected, action[only], alone, H)
        torch.testing.assert_close(select(end, only).values, expected.values, rtol=1e-9, atol=1e-9)


def hovering(rows: int, **factors: ArrayLike) -> tuple[Tensor, QuadrotorState, Tensor]:
    """cf2x rows with factors of their own at hover speed, at rest, upright, and the action that keeps the speed."""
    p = preset("cf2x")
    ones = {"mass": 1, "rotor_thrust": 4, "inertia": 3, "rotor_lag": 1}
    given = {k: torch.tensor(np.broadcast_to(factors.get(k, 1.0), (rows, n)).copy()).double() for k, n in ones.items()}
    hidden = hidden_factors(rows=rows)._replace(**given)
    rest = [np.tile(v, (rows, 1)) for v in ([0.0, 0.0, 9.0], [0.0] * 3, [1.0, 0.0, 0.0, 0.0], [0.0] * 3)]
    speed = np.full((rows, 4), p.hover_rotor_speed)
    action = torch.full((rows, 4), dynamics.hover_action(p), dtype=torch.float64)
    return drawn(p, hidden), QuadrotorState.of(*(torch.tensor(x) for x in (*rest, speed))), action


def test_a_stronger_rotor_lifts_its_corner() -> None:
    """Rotor i pulls 10 % more than m g / 4, at (x, y) l: the excess f = 0.1 m g / 4 rises by f / m and turns the body
    with the torque f (l y, -l x, +-kappa), l = 0.0397 / sqrt(2) m and kappa = 7.94 / 316 m; cf2x follows at once.

    Drag takes d t / 2 m = 1.2e-5 of the speed after t = 1e-4 s.
    """
    frame, start, action = hovering(4, rotor_thrust=1.0 + 0.1 * np.eye(4))
    end = rigid_body.step(start, action, frame, 1e-4)
    force, arm = 0.1 * 0.027 * GRAVITY / 4.0, 0.0397 / np.sqrt(2.0)
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])  # x, y, sense of the yaw torque
    torque = force * np.stack((arm * corners[:, 1], -arm * corners[:, 0], 7.94 / 316.0 * corners[:, 2]), axis=1)
    np.testing.assert_allclose(end.angular_velocity, torque * 1e-4 / [1.4e-5, 1.4e-5, 2.17e-5], rtol=1e-6)
    np.testing.assert_allclose(end.velocity[:, 2], 0.1 * GRAVITY / 4.0 * 1e-4, rtol=2e-5)


def test_twice_the_mass_at_hover_falls_with_half_of_gravity() -> None:
    """The thrust m g carries the nominal weight: a = g (1/k - 1) for a mass factor k.

    Drag takes d t / 2 m k of the speed, at most 2.3e-5 after t = 1e-4 s.
    """
    frame, start, action = hovering(3, mass=[[0.5], [1.0], [2.0]])
    end = rigid_body.step(start, action, frame, 1e-4)
    np.testing.assert_allclose(end.velocity[:, 2], GRAVITY * np.array([1.0, 0.0, -0.5]) * 1e-4, rtol=3e-5, atol=1e-15)
    assert not end.angular_velocity.any()


def test_twice_the_moment_turns_half_as_fast_whatever_the_mass() -> None:
    """Rotors 3 and 4 push harder than 1 and 2: a torque about x, which the mass does not enter."""
    stronger = [1.0, 1.0, 1.1, 1.1]
    frame, start, action = hovering(
        3, mass=[[1.0], [1.0], [1.7]], inertia=[[1.0, 1, 1], [2, 1, 1], [1, 3, 3]], rotor_thrust=stronger
    )
    rate = rigid_body.step(start, action, frame, 1e-4).angular_velocity.numpy()
    assert rate[0, 0] > 0.0
    np.testing.assert_allclose(rate[:, 0], rate[0, 0] * np.array([1.0, 0.5, 1.0]), rtol=1e-9)
