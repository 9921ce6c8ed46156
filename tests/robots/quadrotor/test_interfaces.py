"""Rate loop, mixer and velocity cascade against closed forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from robots.options import OptionError
from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState
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

CPU, DOUBLE = torch.device("cpu"), torch.float64
H = 0.002  # s, one substep


def still(p: QuadrotorParameters, rows: int = 1, heading: float = 0.0) -> QuadrotorState:
    """Level and at rest, far above the floor, rotors at hover speed."""
    zero, half = torch.zeros(rows, 3, dtype=DOUBLE), torch.tensor(0.5 * heading, dtype=DOUBLE)
    quaternion = torch.tensor([half.cos(), 0.0, 0.0, half.sin()], dtype=DOUBLE).repeat(rows, 1)
    speed = torch.full((rows, 4), p.hover_rotor_speed, dtype=DOUBLE)
    return QuadrotorState(zero + torch.tensor([0.0, 0.0, 500.0]), zero.clone(), quaternion, zero.clone(), speed)


def fly(
    interface: Interface, p: QuadrotorParameters, body: QuadrotorState, command: list[float], substeps: int
) -> list[QuadrotorState]:
    """Bodies after each substep of a held command."""
    frame, memory, bodies = dynamics.airframe(p, H, DOUBLE, CPU), interface.begin(body), []
    held = torch.tensor(command, dtype=DOUBLE).unsqueeze(1).expand(-1, len(body.position))
    for _ in range(substeps):
        motors, memory = interface.motors(held, body, memory, H)
        body = dynamics.step(body, motors.t(), frame, H)
        bodies.append(body)
    return bodies


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("kind", [BodyRates, Velocity])
def test_the_neutral_command_holds_a_drone_still(name: str, kind: type[BodyRates | Velocity]) -> None:
    p = preset(name)
    interface = kind(p, 100.0, DOUBLE, CPU)
    assert interface.substeps == 5
    motors, _ = interface.motors(
        torch.tensor(interface.neutral, dtype=DOUBLE).unsqueeze(1), still(p), interface.begin(still(p)), H
    )
    torch.testing.assert_close(motors, torch.full((4, 1), dynamics.hover_action(p), dtype=DOUBLE), rtol=0, atol=1e-12)
    body = fly(interface, p, still(p), list(interface.neutral), 50)[-1]
    assert body.velocity.abs().max() < 1e-10
    assert body.angular_velocity.abs().max() < 1e-10


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_without_lag_a_rate_step_is_first_order(axis: int) -> None:
    """rate' = k (c - rate), sampled every h: rate_n = c (1 - (1 - k h)^n)."""
    p = preset("cf2x")
    p = replace(p, gains=replace(p.gains, rate_integral=(0.0, 0.0, 0.0)))
    assert p.gains.rate_derivative == (0.0, 0.0, 0.0)
    command = [1.0, 0.0, 0.0, 0.0]
    command[1 + axis] = 0.2
    bodies = fly(BodyRates(p, 100.0, DOUBLE, CPU), p, still(p), command, 40)
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


def test_the_integral_removes_what_unequal_rotors_leave() -> None:
    """Rotors on the left push 10 % more: without an integral the roll rate settles off its command, with one on it."""
    p = preset("cf2x")
    frame = dynamics.airframe(p, H, DOUBLE, CPU)
    factor = torch.tensor([[1.0], [1.0], [1.1], [1.1]], dtype=DOUBLE)
    c0, c1, c2 = (c * factor for c in frame.push_curve)
    frame = frame._replace(push_curve=(c0, c1, c2))
    left = {}
    for integral in (0.0, p.gains.rate_integral[0]):
        tuned_p = replace(p, gains=replace(p.gains, rate_integral=(integral,) * 3))
        loop, body = RateLoop(tuned_p, DOUBLE, CPU), still(p)
        memory = loop.begin(body)
        for _ in range(1500):
            thrust = torch.full((1,), GRAVITY, dtype=DOUBLE)
            motors, memory = loop.motors(thrust, torch.zeros(3, 1, dtype=DOUBLE), body, memory, H)
            body = dynamics.step(body, motors.t(), frame, H)
        left[integral] = body.angular_velocity[0, 0].abs().item()
    # 10 % of half the weight over the mass turns by g / 20 x turn_gain, which the gain alone balances at that / k
    expected = 0.05 * GRAVITY * frame.turn_gain[0, 0].item() / p.gains.rate[0] / 1.05  # its own push errs by 5 % too
    assert left[0.0] == pytest.approx(expected, rel=0.02)
    assert left[p.gains.rate_integral[0]] < 0.01 * left[0.0]


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


def test_a_climb_settles_where_the_loop_meets_the_drag() -> None:
    """k (c - v) = d / m v, so v = c k / (k + d / m)."""
    p = preset("cf21B_500")
    body = fly(Velocity(p, 100.0, DOUBLE, CPU), p, still(p), [0.0, 0.0, 1.0, 0.0], 2500)[-1]
    k, drag = p.gains.velocity, p.drag[1] / p.mass
    expected = torch.tensor([[0.0, 0.0, k / (k + drag)]], dtype=DOUBLE)
    torch.testing.assert_close(body.velocity, expected, rtol=0, atol=1e-4)


def test_without_drag_a_velocity_is_reached_along_the_heading() -> None:
    """The nose points along world y: 1 m/s ahead and 0.5 m/s to the left is (-0.5, 1, 0) in the world."""
    p = replace(preset("cf21B_500"), drag=(0.0, 0.0))
    body = fly(Velocity(p, 100.0, DOUBLE, CPU), p, still(p, heading=0.5 * torch.pi), [1.0, 0.5, 0.0, 0.0], 3000)[-1]
    torch.testing.assert_close(body.velocity, torch.tensor([[-0.5, 1.0, 0.0]], dtype=DOUBLE), rtol=0, atol=2e-3)


def test_a_tilted_drone_on_zero_velocity_comes_to_rest() -> None:
    """From 17 tilts between upright and upside down, about both axes."""
    p = preset("cf21B_500")
    angle = torch.linspace(0.0, torch.pi, 17, dtype=DOUBLE)
    body = still(p, 17)
    quaternion = torch.stack((torch.cos(angle / 2), torch.sin(angle / 2) * 0.6, torch.sin(angle / 2) * 0.8, 0 * angle))
    body = fly(Velocity(p, 100.0, DOUBLE, CPU), p, body._replace(quaternion=quaternion.t()), [0.0] * 4, 2500)[-1]
    assert body.velocity.norm(dim=1).max() < 0.05
    assert body.angular_velocity.norm(dim=1).max() < 0.05
    assert dynamics.rotation_rows(body.quaternion.t())[2, 2].min() > 0.999


def test_an_unknown_interface_is_told_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="unknown interface 'velocty'; did you mean 'velocity'"):
        make_interface("velocty", preset("cf2x"), 100.0, DOUBLE, CPU)
