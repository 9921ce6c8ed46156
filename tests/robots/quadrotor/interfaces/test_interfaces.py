"""Rate loop, mixer and velocity cascade against closed forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from robots.options import OptionError
from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import Airframe, QuadrotorState
from robots.quadrotor.body.gains import tuned
from robots.quadrotor.body.parameters import (
    GRAVITY,
    PRESETS,
    QuadrotorParameters,
    preset,
)
from robots.quadrotor.interfaces import make_interface
from robots.quadrotor.interfaces.body_rates import BodyRates
from robots.quadrotor.interfaces.interface import Interface
from robots.quadrotor.interfaces.rate_loop import RateLoop
from robots.quadrotor.interfaces.velocity import Velocity

pytestmark = pytest.mark.slow

CPU, DOUBLE = torch.device("cpu"), torch.float64
H = 0.002  # s, one substep


def still(p: QuadrotorParameters, rows: int = 1, heading: float = 0.0) -> QuadrotorState:
    """Level and at rest, far above the floor, rotors at hover speed."""
    zero, half = torch.zeros(rows, 3, dtype=DOUBLE), torch.tensor(0.5 * heading, dtype=DOUBLE)
    quaternion = torch.tensor([half.cos(), 0.0, 0.0, half.sin()], dtype=DOUBLE).repeat(rows, 1)
    speed = torch.full((rows, 4), p.hover_rotor_speed, dtype=DOUBLE)
    return QuadrotorState.of(zero + torch.tensor([0.0, 0.0, 500.0]), zero.clone(), quaternion, zero.clone(), speed)


def fly(
    interface: Interface, frame: Airframe, body: QuadrotorState, command: Tensor, substeps: int
) -> list[QuadrotorState]:
    """Bodies after each substep of a constant command (4, B)."""
    memory, bodies = interface.begin(body), []
    for _ in range(substeps):
        motors, memory = interface.motors(command, body, memory, H)
        body = dynamics.step(body, motors.t(), frame, H)
        bodies.append(body)
    return bodies


def held(*command: float) -> Tensor:
    return torch.tensor(command, dtype=DOUBLE).unsqueeze(1)


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("kind", [BodyRates, Velocity])
def test_the_neutral_command_holds_a_drone_still(name: str, kind: type[BodyRates | Velocity]) -> None:
    p = preset(name)
    interface = kind(p, 100.0, DOUBLE, CPU)
    assert interface.substeps == 5
    neutral = held(*interface.neutral)
    motors, _ = interface.motors(neutral, still(p), interface.begin(still(p)), H)
    torch.testing.assert_close(motors, torch.full((4, 1), dynamics.hover_action(p), dtype=DOUBLE), rtol=0, atol=1e-12)
    body = fly(interface, dynamics.airframe(p, H, DOUBLE, CPU), still(p), neutral, 50)[-1]
    assert body.velocity.abs().max() < 1e-10
    assert body.angular_velocity.abs().max() < 1e-10


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_without_lag_a_rate_step_is_first_order(axis: int) -> None:
    """rate' = k (c - rate), sampled every h: rate_n = c (1 - (1 - k h)^n)."""
    p = preset("cf2x")
    p = replace(p, gains=replace(p.gains, rate_integral=(0.0, 0.0, 0.0)))
    assert p.gains.rate_derivative == (0.0, 0.0, 0.0)
    command = held(1.0, 0.0, 0.0, 0.0)
    command[1 + axis] = 0.2
    bodies = fly(BodyRates(p, 100.0, DOUBLE, CPU), dynamics.airframe(p, H, DOUBLE, CPU), still(p), command, 40)
    n, k = torch.arange(1, 41, dtype=DOUBLE), p.gains.rate[axis]
    rates = torch.stack([body.angular_velocity[0] for body in bodies])
    torch.testing.assert_close(rates[:, axis], 0.2 * (1.0 - (1.0 - k * H) ** n), rtol=0, atol=1e-9)
    others = [i for i in range(3) if i != axis]
    assert rates[:, others].abs().max() < 1e-9


def test_gains_place_both_poles() -> None:
    """tau s^2 + (1 + k_d) s + k_p = tau (s + w)^2: at tau = 0.1 s and w = 20/s, k_p = 40 and k_d = 3."""
    gains = tuned(rotor_time=0.1, bandwidth=20.0, yaw_bandwidth=5.0, attitude=1.0, velocity=1.0)
    assert gains.rate == pytest.approx((40.0, 40.0, 2.5))
    assert gains.rate_derivative == pytest.approx((3.0, 3.0, 0.0))  # 2 * 5 * 0.1 - 1 = 0
    assert tuned(0.0, 20.0, 5.0, 1.0, 1.0).rate == (20.0, 20.0, 5.0)


@pytest.mark.slow
def test_the_integral_removes_what_unequal_rotors_leave() -> None:
    """Rotors on the left push 10 % more: the roll rate has an error without an integral (row 0), none with it."""
    p = preset("cf2x")
    frame = dynamics.airframe(p, H, DOUBLE, CPU)
    factor = torch.tensor([[1.0], [1.0], [1.1], [1.1]], dtype=DOUBLE)
    c0, c1, c2 = (c * factor for c in frame.push_curve)
    frame = frame._replace(push_curve=(c0, c1, c2))
    loop, body = RateLoop(p, DOUBLE, CPU), still(p, 2)
    loop.integral = loop.integral * torch.tensor([0.0, 1.0], dtype=DOUBLE)
    memory, thrust = loop.begin(body), torch.full((2,), GRAVITY, dtype=DOUBLE)
    for _ in range(1250):
        motors, memory = loop.motors(thrust, torch.zeros(3, 2, dtype=DOUBLE), body, memory, H)
        body = dynamics.step(body, motors.t(), frame, H)
    without, with_integral = body.angular_velocity[:, 0].abs().tolist()
    # 10 % of half the weight over the mass turns by g / 20 x turn_gain, which the gain alone balances at that / k
    expected = 0.05 * GRAVITY * frame.turn_gain[0, 0].item() / p.gains.rate[0] / 1.05  # its own push errs by 5 % too
    assert without == pytest.approx(expected, rel=0.02)
    assert with_integral < 0.01 * without


def pushes(loop: RateLoop, p: QuadrotorParameters, motors: Tensor) -> tuple[Tensor, Tensor]:
    """Mass-specific thrust (B,) and angular acceleration (3, B) that motor commands end up with."""
    frame = dynamics.airframe(p, H, DOUBLE, CPU)
    speed = p.rotor_speed_min + (1.0 - p.rotor_speed_min) * 0.5 * (motors + 1.0)
    return dynamics._load(speed, frame)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_mixer_gives_the_thrust_and_turning_that_were_asked_for(name: str) -> None:
    p = preset(name)
    loop = RateLoop(p, DOUBLE, CPU)
    imbalance = torch.tensor([[0.4, -0.2, 0.0], [0.1, 0.3, -0.5], [0.2, 0.0, 0.6]], dtype=DOUBLE)
    thrust, turn = pushes(loop, p, loop._mix(torch.full((3,), 1.05 * GRAVITY, dtype=DOUBLE), imbalance))
    torch.testing.assert_close(thrust, torch.full((3,), 1.05 * GRAVITY, dtype=DOUBLE), rtol=1e-10, atol=0)
    torch.testing.assert_close(turn, imbalance * loop.turn_gain, rtol=1e-9, atol=1e-9)


def test_turning_comes_before_thrust() -> None:
    """At full thrust nothing is left to turn with: the thrust gives way, the roll is what was asked for."""
    p = preset("cf21B_500")
    loop = RateLoop(p, DOUBLE, CPU)
    for asked in (p.thrust_to_weight * GRAVITY, 0.0):
        imbalance = torch.tensor([[3.0], [0.0], [0.0]], dtype=DOUBLE)
        motors = loop._mix(torch.full((1,), asked, dtype=DOUBLE), imbalance)
        assert motors.abs().max() <= 1.0
        thrust, turn = pushes(loop, p, motors)
        assert abs(thrust.item() - asked) > 2.0
        torch.testing.assert_close(turn, imbalance * loop.turn_gain, rtol=1e-9, atol=1e-9)


CLIMBING, DRAGLESS, TILTED = slice(0, 2), slice(2, 3), slice(3, 20)


@pytest.fixture(scope="module")
def settled() -> QuadrotorState:
    """One flight of 3.5 s for the three tests below, because a step costs the same for one row and for twenty.

    Rows CLIMBING are commanded 1 m/s upwards, from rest and from 2 m/s. Row DRAGLESS starts with its nose along world y
    and is commanded 1 m/s forwards and 0.5 m/s to the left. Rows TILTED start at 17 tilts between upright and upside
    down, about both axes, and are commanded to stop.
    """
    p = preset("cf21B_500")
    body, command = still(p, 20), torch.zeros(4, 20, dtype=DOUBLE)
    angle = 0.5 * torch.linspace(0.0, torch.pi, 17, dtype=DOUBLE)
    body.velocity[1, 2], command[2, CLIMBING] = 2.0, 1.0
    body.quaternion[DRAGLESS] = still(p, heading=0.5 * torch.pi).quaternion
    command[:2, DRAGLESS] = torch.tensor([[1.0], [0.5]], dtype=DOUBLE)
    body.quaternion[TILTED] = torch.stack((angle.cos(), 0.6 * angle.sin(), 0.8 * angle.sin(), 0 * angle), dim=1)
    frame, drag = dynamics.airframe(p, H, DOUBLE, CPU), torch.ones(20, dtype=DOUBLE)
    drag[DRAGLESS] = 0.0
    frame = frame._replace(drag_across=frame.drag_across * drag, drag_excess=frame.drag_excess * drag)
    return fly(Velocity(p, 100.0, DOUBLE, CPU), frame, body, command, 1750)[-1]


@pytest.mark.slow
def test_a_climb_settles_where_the_loop_meets_the_drag(settled: QuadrotorState) -> None:
    """k (c - v) = d / m v, so v = c k / (k + d / m)."""
    p = preset("cf21B_500")
    k, drag = p.gains.velocity, p.drag[1] / p.mass
    expected = torch.tensor([[0.0, 0.0, k / (k + drag)]], dtype=DOUBLE).expand(2, -1)
    torch.testing.assert_close(settled.velocity[CLIMBING], expected, rtol=0, atol=1e-4)


def test_without_drag_a_velocity_is_reached_along_the_heading(settled: QuadrotorState) -> None:
    """The nose is along world y: 1 m/s forwards and 0.5 m/s to the left is (-0.5, 1, 0) in the world."""
    expected = torch.tensor([[-0.5, 1.0, 0.0]], dtype=DOUBLE)
    torch.testing.assert_close(settled.velocity[DRAGLESS], expected, rtol=0, atol=2e-3)


def test_a_tilted_drone_on_zero_velocity_comes_to_rest(settled: QuadrotorState) -> None:
    assert settled.velocity[TILTED].norm(dim=1).max() < 0.05
    assert settled.angular_velocity[TILTED].norm(dim=1).max() < 0.05
    assert dynamics.rotation_rows(settled.quaternion[TILTED].t())[2, 2].min() > 0.999


def test_an_unknown_interface_is_told_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="unknown interface 'velocty'; did you mean 'velocity'"):
        make_interface("velocty", preset("cf2x"), 100.0, DOUBLE, CPU)
