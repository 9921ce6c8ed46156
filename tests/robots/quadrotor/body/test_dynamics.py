"""The equations of motion of the quadrotor against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation
from support import rigid_body
from torch import Tensor

from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import PRESETS, QuadrotorParameters, preset
from robots.quadrotor.body.rotation import rotation_rows, squared_norm, to_body

CPU = torch.device("cpu")
G = 9.81  # m/s^2
H = 0.01  # s, control step
INERT = replace(preset("cf2x"), thrust_curve=(0.0, 0.0, 0.0), drag=(0.0, 0.0))  # neither rotors nor air act on it
EVERY_PRESET = pytest.mark.parametrize("name", sorted(PRESETS))


def tensor(values: ArrayLike) -> Tensor:
    return torch.tensor(np.asarray(values, dtype=np.float64))


def state(rows: int = 1, **fields: ArrayLike) -> QuadrotorState:
    """Upright and at rest 100 m up with stopped rotors, except for the fields that are given."""
    rest = {"position": [0, 0, 100], "velocity": [0] * 3, "quaternion": [1, 0, 0, 0], "angular_velocity": [0] * 3}
    rest["rotor_speed"] = [0] * 4
    return QuadrotorState.of(**{k: tensor(fields.get(k, np.tile(v, (rows, 1)))) for k, v in rest.items()})


def fly(start: QuadrotorState, actions: Tensor, parameters: QuadrotorParameters, duration: float = H) -> QuadrotorState:
    """Apply actions (S, B, 4), one per step of `duration` seconds, in the precision of the state."""
    frame = dynamics.airframe(parameters, duration, start.position.dtype, CPU)
    for action in actions.to(start.position.dtype):
        start = rigid_body.step(start, action, frame, duration)
    return start


def idle(steps: int, rows: int = 1) -> Tensor:
    return -torch.ones(steps, rows, 4)


def assert_same_bits(a: QuadrotorState, b: QuadrotorState) -> None:
    torch.testing.assert_close(a.values, b.values, rtol=0.0, atol=0.0)


def test_a_body_without_push_and_drag_falls_freely() -> None:
    """p = p0 + v0 t - g t^2 / 2: after 1 s from (0, 0, 100) at (1, -2, 3) m/s it is at (1, -2, 103 - 4.905)."""
    end = fly(state(velocity=[[1, -2, 3]]), idle(100), INERT)
    torch.testing.assert_close(end.position, tensor([[1.0, -2.0, 98.095]]), rtol=0, atol=1e-11)
    torch.testing.assert_close(end.velocity, tensor([[1.0, -2.0, 3.0 - 9.81]]), rtol=0, atol=1e-12)


def test_linear_drag_approaches_the_terminal_velocity() -> None:
    """From rest v(t) = -g m/d (1 - exp(-d t/m)); with m/d = 0.5 s it falls at 4.905 (1 - exp(-2)) m/s after 1 s."""
    end = fly(state(), idle(100), replace(INERT, drag=(2.0 * INERT.mass, 2.0 * INERT.mass)))
    assert end.velocity[0, 2].item() == pytest.approx(-4.905 * (1.0 - np.exp(-2.0)), abs=1e-8)


def test_drag_acts_along_the_body_axes() -> None:
    """At a held attitude the body axes decouple: v_i' = a_i - k_i v_i with a = R^T (0, 0, -g) and k = d / m."""
    rng = np.random.default_rng(1)
    rotation, velocity = Rotation.from_quat(rng.normal(size=(20, 4))), rng.uniform(-3.0, 3.0, (20, 3))
    start = state(20, velocity=velocity, quaternion=rotation.as_quat(scalar_first=True))
    end = fly(start, idle(100, 20), replace(INERT, drag=(0.8 * INERT.mass, 3.0 * INERT.mass)))
    k = np.array([0.8, 0.8, 3.0])
    terminal = rotation.inv().apply([0.0, 0.0, -G]) / k
    expected = terminal + (rotation.inv().apply(velocity) - terminal) * np.exp(-k)
    np.testing.assert_allclose(end.velocity.numpy(), rotation.apply(expected), rtol=0, atol=1e-7)


@EVERY_PRESET
def test_hover_thrust_holds_still(name: str) -> None:
    parameters = preset(name)
    start = state(rotor_speed=[[parameters.hover_rotor_speed] * 4])
    action = tensor(dynamics.hover_action(parameters)).expand(100, 1, 4)
    end = fly(start, action, parameters)
    torch.testing.assert_close(end.position, start.position, rtol=0, atol=1e-12)
    torch.testing.assert_close(end.rotor_speed, start.rotor_speed, rtol=0, atol=1e-14)
    assert torch.equal(end.quaternion, start.quaternion)
    assert torch.equal(end.angular_velocity, start.angular_velocity)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_spin_about_a_principal_axis_is_uniform(axis: int) -> None:
    """q(t) = q0 (cos(w t/2), sin(w t/2) e) and omega stays w e; here w = 4 rad/s for 1 s."""
    spin, initial = 4.0 * np.eye(3)[axis], Rotation.from_rotvec([0.3, -1.1, 0.7])
    start = state(quaternion=[initial.as_quat(scalar_first=True)], angular_velocity=[spin])
    end = fly(start, idle(100), INERT)
    turned = Rotation.from_quat(end.quaternion[0].numpy(), scalar_first=True)
    assert (turned.inv() * initial * Rotation.from_rotvec(spin)).magnitude() < 1e-8
    assert torch.equal(end.angular_velocity, start.angular_velocity)


def test_a_symmetric_body_precesses() -> None:
    """With Jx = Jy: (wx + i wy)(t) = (wx + i wy)(0) exp(i n t), n = (Jz - Jx)/Jx wz, and wz is constant."""
    (jx, _, jz), (wx, wy, wz) = INERT.inertia, (3.0, -1.0, 8.0)
    end = fly(state(angular_velocity=[[wx, wy, wz]]), idle(100), INERT)
    turned = complex(wx, wy) * np.exp(1j * (jz - jx) / jx * wz)
    torch.testing.assert_close(end.angular_velocity, tensor([[turned.real, turned.imag, wz]]), rtol=0, atol=1e-6)


def test_torque_free_motion_keeps_angular_momentum_and_energy() -> None:
    """R J omega and omega . J omega stay what they were, for three different moments of inertia."""
    rng, inertia = np.random.default_rng(2), np.array([2.5e-5, 2.8e-5, 4.9e-5])
    rotation, rate = Rotation.from_quat(rng.normal(size=(30, 4))), rng.uniform(-8.0, 8.0, (30, 3))
    start = state(30, quaternion=rotation.as_quat(scalar_first=True), angular_velocity=rate)
    end = fly(start, idle(100, 30), replace(INERT, inertia=(2.5e-5, 2.8e-5, 4.9e-5)))
    end_rate, end_rotation = end.angular_velocity.numpy(), Rotation.from_quat(end.quaternion.numpy(), scalar_first=True)
    before, after = rotation.apply(inertia * rate), end_rotation.apply(inertia * end_rate)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6 * np.linalg.norm(before, axis=1).max())
    np.testing.assert_allclose((inertia * end_rate**2).sum(1), (inertia * rate**2).sum(1), rtol=1e-7)


@pytest.mark.parametrize(("up", "down"), [(0.05, 0.2), (0.0, 0.0), (0.1, 0.0)])
def test_rotors_lag_exponentially(up: float, down: float) -> None:
    """u(t) = c + (u0 - c) exp(-t / tau) from 0.5 towards 0 and towards 0.9, 0.03 s long; tau = 0 means u = c."""
    parameters = replace(INERT, rotor_time_up=up, rotor_time_down=down)
    action = tensor([-1.0, 0.8, -1.0, 0.8]).expand(3, 1, 4)
    end = fly(state(rotor_speed=[[0.5] * 4]), action, parameters)
    slow = 0.5 * np.exp(-0.03 / down) if down else 0.0
    fast = 0.9 - 0.4 * np.exp(-0.03 / up) if up else 0.9
    torch.testing.assert_close(end.rotor_speed, tensor([[slow, fast, slow, fast]]), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("rotor", "x", "y", "yaw"),
    [(0, 1, -1, -1), (1, -1, -1, 1), (2, -1, 1, -1), (3, 1, 1, 1)],
    ids=["front-right", "back-right", "back-left", "front-left"],
)
def test_each_rotor_turns_the_body_its_own_way(rotor: int, x: int, y: int, yaw: int) -> None:
    """A force f e_z at r = l (x, y, 0) has the torque r x f e_z = l f (y, -x, 0); the rotor's reaction turns about z.

    cf2x at full speed, without lag: f = 2.25 m g / 4, l = 0.0397 / sqrt(2) m, reaction over force 7.94 / 316 m. After
    a short time t from rest omega = torque t / J.
    """
    action = -torch.ones(1, 1, 4)
    action[..., rotor] = 1.0
    end = fly(state(), action, preset("cf2x"), duration=1e-4)
    force, arm = 2.25 * 0.027 * G / 4.0, 0.0397 / np.sqrt(2.0)
    torque = force * np.array([arm * y, -arm * x, 7.94 / 316.0 * yaw])
    expected = tensor([torque * 1e-4 / np.array([1.4e-5, 1.4e-5, 2.17e-5])])
    torch.testing.assert_close(end.angular_velocity, expected, rtol=1e-5, atol=0)


@EVERY_PRESET
def test_a_faster_rotor_turns_every_preset_its_own_way(name: str) -> None:
    """Rotor i is 0.05 faster than at hover, by df more thrust: J omega' = df (s_y |y|, -s_x |x|, +-kappa)."""
    p, time = preset(name), 1e-4
    speed = p.hover_rotor_speed + 0.05 * np.eye(4)
    command = tensor(2.0 * (speed - p.rotor_speed_min) / (1.0 - p.rotor_speed_min) - 1.0)
    end = fly(state(4, rotor_speed=speed), command.unsqueeze(0), p, duration=time)
    more, (x, y) = p.thrust(p.hover_rotor_speed + 0.05) - p.thrust(p.hover_rotor_speed), p.rotor_offset
    corners = np.array([[-1, -1, -1], [-1, 1, 1], [1, 1, -1], [1, -1, 1]])  # senses of roll, pitch and yaw
    expected = more * corners * [y, x, p.torque_per_thrust] / np.array(p.inertia) * time
    np.testing.assert_allclose(end.angular_velocity.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(end.velocity[:, 2].numpy(), more / p.mass * time, rtol=1e-3)


@EVERY_PRESET
def test_the_ground_stops_a_fall_and_lets_go_on_full_thrust(name: str) -> None:
    """An upright drone lands, stays to the bit, and takes off again.

    At least 1.46 times the weight after a lag of at most 0.15 s: 0.46 g (0.7 s)^2 / 2 = 1.1 m is passed within 1 s.
    """
    parameters = preset(name)
    landed = fly(state(position=[[1, 2, 0.1]], velocity=[[0.3, 0, -1]]), idle(40), parameters)
    assert landed.position[0, 2] == 0.0
    assert not landed.velocity.any()
    assert_same_bits(fly(landed, idle(20), parameters).changed(rotor_speed=landed.rotor_speed), landed)
    risen = fly(landed, torch.ones(100, 1, 4), parameters)
    assert risen.position[0, 2] > 1.1
    assert risen.velocity[0, 2] > 0.0


def test_the_ground_stops_a_tumbling_body() -> None:
    falling = state(position=[[1, 2, 0.1]], velocity=[[0.3, 0, -1]], angular_velocity=[[1, 2, 3]])
    landed = fly(falling, idle(40), INERT)
    assert landed.position[0, 2] == 0.0
    assert not landed.velocity.any()
    assert not landed.angular_velocity.any()
    assert_same_bits(fly(landed, idle(20), INERT), landed)


def test_rotation_rows_and_to_body_agree_with_scipy() -> None:
    rng = np.random.default_rng(3)
    rotation, vector = Rotation.from_quat(rng.normal(size=(200, 4))), rng.normal(size=(200, 3))
    rows = rotation_rows(tensor(rotation.as_quat(scalar_first=True)).t())
    np.testing.assert_allclose(rows.numpy(), rotation.as_matrix().transpose(1, 2, 0), rtol=0, atol=1e-14)
    body = to_body(rows, tensor(vector).t())
    np.testing.assert_allclose(body.numpy().T, rotation.inv().apply(vector), rtol=0, atol=1e-14)
    length = squared_norm(tensor(vector).t())
    np.testing.assert_allclose(length.numpy(), (vector**2).sum(1), rtol=1e-14)
