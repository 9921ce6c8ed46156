"""The quadrotor as a MuJoCo free body, against closed forms and against the built-in dynamics."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from support import rigid_body
from torch import Tensor

from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState, hover_action
from robots.quadrotor.body.parameters import GRAVITY, PRESETS, preset
from robots.quadrotor.physics.free_body import FreeBody
from robots.quadrotor.physics.free_body_model import HALF_HEIGHT, physics_steps
from robots.quadrotor.physics.physics import PhysicsError

PERIOD = 0.01  # s
H = 0.001  # s, MuJoCo's step within it


def resting(rows: int = 1, rotor_speed: float = 0.0, height: float = 100.0) -> QuadrotorState:
    """Level bodies at rest."""
    body = QuadrotorState.of(*(torch.zeros(rows, size, dtype=torch.float64) for size in (3, 3, 4, 3, 4)))
    body.position[:, 2] = height
    body.quaternion[:, 0] = 1.0
    body.rotor_speed[:] = rotor_speed
    return body


def held(engine: FreeBody, body: QuadrotorState, motors: Tensor, periods: int) -> QuadrotorState:
    for _ in range(periods):
        body, touches = engine.step(body, motors.double().expand(len(body.position), 4))
        assert not touches.any()
    return body


@pytest.mark.parametrize(("duration", "steps"), [(0.01, 10), (0.002, 2), (0.001, 1), (0.0004, 1), (0.0025, 3)])
def test_physics_steps_are_equal_parts_of_at_most_a_millisecond(duration: float, steps: int) -> None:
    assert physics_steps(duration) == steps


@pytest.mark.parametrize("name", ["cf2x", "learning-to-fly"])
def test_free_fall(name: str) -> None:
    """Semi-implicit Euler: v_k = v_0 - g k h, so after t = n h, z = z_0 + v_0 t - g h^2 n (n + 1) / 2, which is
    -g t^2 / 2 but for g t h / 2."""
    engine = FreeBody(replace(preset(name), drag=(0.0, 0.0)), PERIOD)
    body = resting()
    body.velocity[:] = torch.tensor([1.0, -2.0, 3.0])
    t = 50 * PERIOD
    fallen = held(engine, body, torch.tensor([-1.0] * 4), 50)
    expected = torch.tensor([[1.0 * t, -2.0 * t, 100.0 + 3.0 * t - GRAVITY * t * (t + H) / 2.0]], dtype=torch.float64)
    torch.testing.assert_close(fallen.position, expected, rtol=0.0, atol=1e-9)
    expected = torch.tensor([[1.0, -2.0, 3.0 - GRAVITY * t]], dtype=torch.float64)
    torch.testing.assert_close(fallen.velocity, expected, rtol=0.0, atol=1e-9)
    torch.testing.assert_close(fallen.quaternion, body.quaternion)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_hover_thrust_carries_the_weight(name: str) -> None:
    parameters = preset(name)
    body = resting(rotor_speed=parameters.hover_rotor_speed)
    after = held(FreeBody(parameters, PERIOD), body, torch.full((4,), hover_action(parameters)), 100)
    for now, before in zip(after, body, strict=True):
        torch.testing.assert_close(now, before, rtol=0.0, atol=1e-6)  # the hover command is a float32


@pytest.mark.parametrize(
    ("faster", "arm", "axis"),
    [((3, 4), (1.0, 0.0), 0), ((2, 3), (1.0, 0.0), 1), ((2, 4), (0.0, 1.0), 2)],
    ids=["left lifts: roll", "back lifts: pitch", "counter-clockwise push: yaw"],
)
def test_differential_thrust_turns_about_one_axis(faster: tuple[int, int], arm: tuple[float, float], axis: int) -> None:
    """Two rotors at u = 0.8, two at 0.6, no lag: about one principal axis J omega' = tau is constant, with
    tau = (l or kappa) * 2 (f(0.8) - f(0.6)) > 0; semi-implicit Euler follows omega exactly, and the angle is
    omega' h^2 n (n + 1) / 2 = omega' t (t + h) / 2."""
    p = preset("cf2x")
    motors = torch.tensor([2.0 * (0.8 if rotor in faster else 0.6) - 1.0 for rotor in (1, 2, 3, 4)])
    body = held(FreeBody(p, PERIOD), resting(rotor_speed=0.6), motors, 5)
    lever = arm[0] * p.rotor_offset[1 - axis if axis < 2 else 0] + arm[1] * p.torque_per_thrust
    acceleration = 2.0 * (p.thrust(0.8) - p.thrust(0.6)) * lever / p.inertia[axis]
    t = 5 * PERIOD
    rate = torch.zeros(1, 3, dtype=torch.float64)
    rate[0, axis] = acceleration * t
    torch.testing.assert_close(body.angular_velocity, rate, rtol=1e-6, atol=1e-9)
    half = 0.25 * acceleration * t * (t + H)
    turned = torch.zeros(1, 4, dtype=torch.float64)
    turned[0, 0], turned[0, 1 + axis] = math.cos(half), math.sin(half)
    torch.testing.assert_close(body.quaternion, turned, rtol=0.0, atol=1e-6)


def test_thrust_lags_by_the_time_constant_of_its_direction() -> None:
    """Rotors 1 and 2 speed up from u = 0.5 to 0.9, rotors 3 and 4 slow down to 0.2: f(t) = f_c + (f_0 - f_c) exp(-t /
    tau) with tau up or down, over three periods of a held command."""
    p = preset("rl-tools")
    assert p.rotor_time_up != p.rotor_time_down
    motors = torch.tensor([0.8, 0.8, -0.6, -0.6])
    body = held(FreeBody(p, PERIOD), resting(rotor_speed=0.5), motors, 3)
    for rotor, (command, tau) in enumerate([(0.9, p.rotor_time_up)] * 2 + [(0.2, p.rotor_time_down)] * 2):
        expected = p.thrust(command) + (p.thrust(0.5) - p.thrust(command)) * math.exp(-0.03 / tau)
        assert p.thrust(float(body.rotor_speed[0, rotor])) == pytest.approx(expected, rel=1e-6)


def test_rotors_without_lag_follow_at_once() -> None:
    engine = FreeBody(preset("cf2x"), 0.002)
    body = held(engine, resting(rotor_speed=0.3), torch.tensor([0.0, 0.2, 0.4, 0.6]), 1)
    torch.testing.assert_close(body.rotor_speed, torch.tensor([[0.5, 0.6, 0.7, 0.8]]).double(), rtol=0.0, atol=1e-7)


def test_drag_slows_what_moves_and_not_what_turns() -> None:
    """Damping is implicit: v_k = v_0 / (1 + h d / m)^k across at d_xy and, with the weight carried, along at d_z."""
    p = preset("cf21B_500")
    body = resting(rotor_speed=p.hover_rotor_speed)
    body.velocity[:] = torch.tensor([2.0, 0.0, 1.0])
    body.angular_velocity[:] = torch.tensor([0.0, 0.0, 3.0])  # about the rotor axis, which stays vertical
    after = held(FreeBody(p, PERIOD), body, torch.full((4,), hover_action(p)), 30)
    across, along = ((1.0 + H * d / p.mass) ** -300 for d in p.drag)
    expected = torch.tensor([[2.0 * across, 0.0, 1.0 * along]], dtype=torch.float64)
    torch.testing.assert_close(after.velocity, expected, rtol=0.0, atol=1e-6)
    torch.testing.assert_close(after.angular_velocity, body.angular_velocity, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_it_flies_as_the_built_in_dynamics_do(name: str) -> None:
    """From random poses, on commands within 0.2 of hover that change every period, for 0.3 s. MuJoCo's Euler step of
    1 ms errs in the first order, and thrust lags instead of speed."""
    p, generator = preset(name), torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return 2.0 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1.0

    body = resting(8, p.hover_rotor_speed)
    body.velocity[:], body.angular_velocity[:], body.quaternion[:] = drawn(8, 3), drawn(8, 3), drawn(8, 4)
    body.quaternion.div_(body.quaternion.norm(dim=1, keepdim=True))
    engine, frame = FreeBody(p, PERIOD), dynamics.airframe(p, PERIOD, torch.float64, torch.device("cpu"))
    home = there = body
    for _ in range(30):
        motors = hover_action(p) + 0.2 * drawn(8, 4)
        home, (there, _) = rigid_body.step(home, motors, frame, PERIOD), engine.step(there, motors)
    assert (home.position - body.position).norm(dim=1).min() > 0.1
    assert (there.position - home.position).norm(dim=1).max() < 0.012
    assert (there.velocity - home.velocity).norm(dim=1).max() < 0.1
    assert (there.quaternion * home.quaternion).sum(dim=1).abs().min() > math.cos(0.5 * 0.1)  # 0.1 rad


def test_a_row_moves_alike_in_any_batch_and_every_time() -> None:
    p = preset("cf21B_500")
    engine, generator = FreeBody(p, 0.002), torch.Generator().manual_seed(1)
    body = resting(5, p.hover_rotor_speed)
    body.angular_velocity[:] = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    motors = torch.rand(5, 4, generator=generator, dtype=torch.float64)
    together = engine.step(body, motors)[0]
    engine.step(body, -motors)
    alone = engine.step(QuadrotorState(body.values[3:4]), motors[3:4])[0]
    assert torch.equal(together.values[3:4], alone.values)
    assert torch.equal(together.values, engine.step(body, motors)[0].values)


def test_the_floor_is_felt_and_holds() -> None:
    """A level drone falls 0.2 m onto the floor: it touches about sqrt(2 * 0.2 / g) = 0.20 s later, and comes to rest
    half a body above it."""
    p = preset("cf2x")
    engine, body = FreeBody(p, PERIOD), resting(height=0.2 + HALF_HEIGHT)
    touching = []
    for _ in range(100):
        body, touches = engine.step(body, torch.full((1, 4), -1.0))
        touching.append(bool(touches))
    assert not any(touching[:20])
    assert touching[21:25] == [True] * 4
    assert touching[-1]
    assert float(body.position[0, 2]) == pytest.approx(HALF_HEIGHT, abs=0.002)
    assert float(body.velocity.norm()) < 0.01


def test_what_it_is_given_keeps_its_type() -> None:
    body = QuadrotorState(resting(2, 0.6).values.float())
    after, touches = FreeBody(preset("cf2x"), PERIOD).step(body, torch.zeros(2, 4))
    assert after.values.dtype == torch.float32
    assert touches.dtype == torch.bool
    assert touches.shape == (2,)


def test_a_flight_that_is_lost_is_told() -> None:
    body = resting(3, 0.6)
    body.velocity[1] = torch.nan
    with pytest.raises(PhysicsError, match=r"^MuJoCo .* 1 of 3 flights$"):
        FreeBody(preset("cf2x"), PERIOD).step(body, torch.zeros(3, 4))
