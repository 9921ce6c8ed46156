"""Rate loop, mixer and velocity cascade against closed forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support import rigid_body
from torch import Tensor

from robots.options import OptionError
from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.gains import tuned
from robots.quadrotor.body.kernels import DRAG, PUSH, TURN_GAIN, WIND
from robots.quadrotor.body.parameters import (
    GRAVITY,
    PRESETS,
    QuadrotorParameters,
    preset,
)
from robots.quadrotor.body.rotation import rotation_rows
from robots.quadrotor.interfaces import make_interface
from robots.quadrotor.interfaces.body_rates import BodyRates
from robots.quadrotor.interfaces.control_step import ControlStep, LoopStep
from robots.quadrotor.interfaces.interface import Interface
from robots.quadrotor.interfaces.rate_loop import RateMemory
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
    interface: Interface, frame: Tensor, body: QuadrotorState, command: Tensor, substeps: int
) -> list[QuadrotorState]:
    """Bodies after each substep of a constant command (B, 4)."""
    loop, memory, bodies = LoopStep(interface, H, DOUBLE), interface.begin(body), []
    for _ in range(substeps):
        motors, memory = loop(body, memory, command)
        body = rigid_body.step(body, motors, frame, H)
        bodies.append(body)
    return bodies


def held(*command: float) -> Tensor:
    return torch.tensor([command], dtype=DOUBLE)


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("kind", [BodyRates, Velocity])
def test_the_neutral_command_holds_a_drone_still(name: str, kind: type[BodyRates | Velocity]) -> None:
    p = preset(name)
    interface = kind(p, 100.0, DOUBLE, CPU)
    assert interface.substeps == 5
    neutral = held(*interface.neutral)
    motors, _ = LoopStep(interface, H, DOUBLE)(still(p), interface.begin(still(p)), neutral)
    torch.testing.assert_close(motors, torch.full((1, 4), dynamics.hover_action(p), dtype=DOUBLE), rtol=0, atol=1e-12)
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
    command[0, 1 + axis] = 0.2
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
    """Rotors on the left push 10 % more: without an integral the roll rate keeps an error, with it none."""
    p = preset("cf2x")
    frame = dynamics.airframe(p, H, DOUBLE, CPU)
    frame[:, PUSH:TURN_GAIN] *= torch.tensor([1.0, 1.0, 1.1, 1.1], dtype=DOUBLE).repeat(3)
    no_integral = replace(p, gains=replace(p.gains, rate_integral=(0.0, 0.0, 0.0)))
    without, with_integral = (
        fly(BodyRates(own, 100.0, DOUBLE, CPU), frame, still(p), held(1.0, 0.0, 0.0, 0.0), 1250)[-1]
        .angular_velocity[0, 0]
        .abs()
        .item()
        for own in (no_integral, p)
    )
    # 10 % of half the weight over the mass turns by g / 20 x turn_gain, which the gain alone balances at that / k
    expected = 0.05 * GRAVITY * frame[0, TURN_GAIN].item() / p.gains.rate[0] / 1.05  # its own push errs by 5 % too
    assert without == pytest.approx(expected, rel=0.02)
    assert with_integral < 0.01 * without


# torque of a unit thrust of each rotor about x and y over rotor_offset, and about z over torque_per_thrust
TORQUES = torch.tensor([[-1.0, -1.0, 1.0, 1.0], [-1.0, 1.0, 1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]], dtype=DOUBLE)


def mixed(p: QuadrotorParameters, thrust: float, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Motor commands for a drone at rest, and what they cause.

    Args:
        p: The airframe.
        thrust: Wanted thrust over mass [m/s^2].
        turn: (B, 3) wanted angular acceleration [rad/s^2].

    Returns:
        Motor commands (B, 4), thrust over mass (B,) and angular acceleration (B, 3).
    """
    p = replace(p, gains=replace(p.gains, rate_integral=(0.0, 0.0, 0.0)))  # then a = k_p rate_c at rest
    body, interface = still(p, len(turn)), BodyRates(p, 100.0, DOUBLE, CPU)
    rates = turn / torch.tensor(p.gains.rate, dtype=DOUBLE)
    command = torch.cat((torch.full_like(turn[:, :1], thrust / GRAVITY), rates), dim=1)
    motors, _ = LoopStep(interface, H, DOUBLE)(body, interface.begin(body), command)
    c0, c1, c2 = p.thrust_curve
    speed = p.rotor_speed_min + (1.0 - p.rotor_speed_min) * 0.5 * (motors + 1.0)
    force = c0 + c1 * speed + c2 * speed**2
    x, y = p.rotor_offset
    levers = torch.tensor([y, x, p.torque_per_thrust], dtype=DOUBLE)
    torque = levers * (force @ TORQUES.t())
    return motors, force.sum(dim=1) / p.mass, torque / torch.tensor(p.inertia, dtype=DOUBLE)


def turn_gain(p: QuadrotorParameters) -> Tensor:
    """Angular acceleration (3,) per difference of push over mass [rad/m]."""
    x, y = p.rotor_offset
    levers = torch.tensor([y, x, p.torque_per_thrust], dtype=DOUBLE)
    return p.mass * levers / torch.tensor(p.inertia, dtype=DOUBLE)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_mixer_gives_the_wanted_thrust_and_turning(name: str) -> None:
    p = preset(name)
    imbalance = torch.tensor([[0.4, 0.1, 0.2], [-0.2, 0.3, 0.0], [0.0, -0.5, 0.6]], dtype=DOUBLE)
    wanted = imbalance * turn_gain(p)
    _, thrust, turn = mixed(p, 1.05 * GRAVITY, wanted)
    torch.testing.assert_close(thrust, torch.full((3,), 1.05 * GRAVITY, dtype=DOUBLE), rtol=1e-10, atol=0)
    torch.testing.assert_close(turn, wanted, rtol=1e-9, atol=1e-9)


def test_turning_comes_before_thrust() -> None:
    """At full thrust nothing is left to turn with: the thrust gives way, and the roll is as wanted."""
    p = preset("cf21B_500")
    wanted = torch.tensor([[3.0, 0.0, 0.0]], dtype=DOUBLE) * turn_gain(p)
    for asked in (p.thrust_to_weight * GRAVITY, 0.0):
        motors, thrust, turn = mixed(p, asked, wanted)
        assert motors.abs().max() <= 1.0
        assert abs(thrust.item() - asked) > 2.0
        torch.testing.assert_close(turn, wanted, rtol=1e-9, atol=1e-9)


def test_turning_about_z_is_limited_to_a_quarter_of_the_weight() -> None:
    p = preset("cf2x")
    wanted = torch.tensor([[0.0, 0.0, 4.0], [0.0, 0.0, -9.0]], dtype=DOUBLE) * turn_gain(p)
    _, thrust, turn = mixed(p, GRAVITY, wanted)
    limited = torch.tensor([0.25, -0.25], dtype=DOUBLE) * GRAVITY * turn_gain(p)[2]
    torch.testing.assert_close(turn[:, 2], limited, rtol=1e-9, atol=0)
    torch.testing.assert_close(thrust, torch.full((2,), GRAVITY, dtype=DOUBLE), rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", ["ctbr", "velocity"])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_a_control_step_is_its_substeps(name: str, dtype: torch.dtype) -> None:
    """The kernel of a control step equals loop and body one substep at a time, on the floor as well."""
    p, rows = preset("cf21B_500"), 40
    interface, frame = make_interface(name, p, 100.0, dtype, CPU), dynamics.airframe(p, H, dtype, CPU)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(rows, 17, generator=generator, dtype=dtype)
    values[:, 2] = values[:, 2].abs() * 0.02
    values[:, 6:10] /= values[:, 6:10].norm(dim=1, keepdim=True)
    values[:, 13:] = torch.rand(rows, 4, generator=generator, dtype=dtype)
    body, command = QuadrotorState(values), torch.randn(rows, 4, generator=generator, dtype=dtype)
    flown = ControlStep(interface, H, dtype)(body, interface.begin(body), command, frame)
    loop, memory, grounded = LoopStep(interface, H, dtype), interface.begin(body), torch.zeros(rows, dtype=torch.bool)
    for _ in range(interface.substeps):
        motors, memory = loop(body, memory, command)
        body = rigid_body.step(body, motors, frame, H)
        grounded |= body.position[:, 2] <= 0.0
    assert 0 < grounded.sum() < rows
    assert torch.equal(flown.grounded, grounded)
    tolerance = 2e-3 if dtype == torch.float32 else 1e-11
    torch.testing.assert_close(flown.body.values, body.values, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(flown.memory.values, memory.values, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["motors", "ctbr", "velocity"])
def test_gradients_of_a_control_step_equal_finite_differences(name: str) -> None:
    p, rows = preset("cf21B_500"), 2
    interface, frame = make_interface(name, p, 100.0, DOUBLE, CPU), dynamics.airframe(p, H, DOUBLE, CPU)
    generator = torch.Generator().manual_seed(1)
    values = still(p, rows).values + 0.1 * torch.randn(rows, 17, generator=generator, dtype=DOUBLE)
    command = torch.tensor(interface.neutral, dtype=DOUBLE) + 0.1 * torch.rand(rows, 4, generator=generator).double()
    memory = interface.begin(QuadrotorState(values))
    step = ControlStep(interface, H, DOUBLE)

    def flown(values: Tensor, command: Tensor, *memory: Tensor) -> Tensor:
        remembered = RateMemory(*memory) if memory else ()
        new = step(QuadrotorState(values), remembered, command, frame)
        return torch.cat((new.body.values, *new.memory), dim=1)

    inputs = tuple(x.detach().requires_grad_() for x in (values, command, *memory))
    assert torch.autograd.gradcheck(flown, inputs, rtol=1e-4, atol=1e-5)


CLIMBING, DRAGLESS, TILTED = slice(0, 2), slice(2, 3), slice(3, 20)


@pytest.fixture(scope="module")
def settled() -> QuadrotorState:
    """One flight of 3.5 s for the three tests below, because a step costs the same for one row and for twenty.

    Rows CLIMBING are commanded 1 m/s upwards, from rest and from 2 m/s. Row DRAGLESS starts with its nose along world y
    and is commanded 1 m/s forwards and 0.5 m/s to the left. Rows TILTED start at 17 tilts between upright and upside
    down, about both axes, and are commanded to stop.
    """
    p = preset("cf21B_500")
    body, command = still(p, 20), torch.zeros(20, 4, dtype=DOUBLE)
    angle = 0.5 * torch.linspace(0.0, torch.pi, 17, dtype=DOUBLE)
    body.velocity[1, 2], command[CLIMBING, 2] = 2.0, 1.0
    body.quaternion[DRAGLESS] = still(p, heading=0.5 * torch.pi).quaternion
    command[DRAGLESS, :2] = torch.tensor([1.0, 0.5], dtype=DOUBLE)
    body.quaternion[TILTED] = torch.stack((angle.cos(), 0.6 * angle.sin(), 0.8 * angle.sin(), 0 * angle), dim=1)
    frame = dynamics.airframe(p, H, DOUBLE, CPU).repeat(20, 1)
    frame[DRAGLESS, DRAG:WIND] = 0.0
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
    assert rotation_rows(settled.quaternion[TILTED].t())[2, 2].min() > 0.999


def test_an_unknown_interface_is_told_with_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"'velocty'.*'velocity'"):
        make_interface("velocty", preset("cf2x"), 100.0, DOUBLE, CPU)
