"""Flights under random commands against an adaptive integrator on equations written with rotation matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation
from support import rigid_body

from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import PRESETS, QuadrotorParameters, preset

Array = NDArray[np.float64]
EVERY_PRESET = pytest.mark.parametrize("name", sorted(PRESETS))
H = 0.01  # s, control step
G = 9.81  # m/s^2
UP = np.array([0.0, 0.0, 1.0])
PLACES = np.array([[1, -1, 0], [-1, -1, 0], [-1, 1, 0], [1, 1, 0]])  # of the rotors, over rotor_offset
LEVERS = np.cross(PLACES, UP)  # torques of unit forces there
REACTIONS = np.array([-1.0, 1.0, -1.0, 1.0])  # their yaw torque over torque_per_thrust times thrust
CROSS = np.cross(np.eye(3)[:, None], np.eye(3)).reshape(3, 9)  # (w @ CROSS).reshape(3, 3).T x = w x x

# Largest error over six rows after 1 s in double precision: position [m], velocity [m/s], attitude [rad], rate [rad/s].
# Each bound is about twice what was measured (5.8e-6, 2.0e-5, 2.4e-5, 5.6e-5 for the first). The light body of
# learning-to-fly reaches 127 rad/s about one axis, more than one radian per step; hence its error.
BOUNDS = {
    "cf21B_500": (1.2e-5, 4e-5, 5e-5, 1.2e-4),
    "cf2x": (3e-5, 7e-5, 5e-5, 3e-5),
    "learning-to-fly": (1.2e-3, 6e-3, 5e-2, 6e-5),
    "flightmare": (2.5e-3, 9e-3, 1e-3, 2.5e-3),
    "fs": (6e-6, 1.5e-5, 3e-6, 8e-6),
    "mrs": (2e-5, 6e-5, 5e-5, 8e-5),
    "race": (2.5e-4, 6e-4, 6e-4, 8e-4),
    "x500": (1.5e-5, 4e-5, 1.5e-5, 7e-5),
    "rl-tools": (2e-5, 8e-5, 2.2e-4, 3e-5),
}
# The same between single and double precision; at 50 m one unit in the last place of a single is 3.8e-6 m.
ROUNDING_BOUNDS = (4e-5, 6e-5, 1e-4, 5e-4)


class Flight(NamedTuple):
    """A start, the commands that follow, and where they lead."""

    start: Array
    """(B, 22): position, velocity, rotation matrix by rows, angular velocity, rotor speed."""
    actions: Array
    """(S, B, 4)"""
    end: Array
    """(B, 22), as `start`."""


def derivative(y: Array, command: Array, p: QuadrotorParameters) -> Array:
    """Newton and Euler for (B, 22) rows."""
    velocity, rotation, rate, speed = y[:, 3:6], y[:, 6:15].reshape(-1, 3, 3), y[:, 15:18], y[:, 18:]
    used = speed if p.rotor_time_up else command
    thrust = p.thrust_curve[0] + p.thrust_curve[1] * used + p.thrust_curve[2] * used**2
    moment = (
        np.array([p.rotor_offset[1], p.rotor_offset[0], 0.0]) * LEVERS + p.torque_per_thrust * REACTIONS[:, None] * UP
    )
    body_velocity = (velocity[:, None] @ rotation)[:, 0]
    push = thrust.sum(1, keepdims=True) * UP - np.array([p.drag[0], p.drag[0], p.drag[1]]) * body_velocity
    acceleration = (rotation @ push[:, :, None])[:, :, 0] / p.mass - G * UP
    inertia, minus_spin = np.array(p.inertia), (rate @ CROSS).reshape(-1, 3, 3)
    rate_change = (thrust @ moment - ((inertia * rate)[:, None] @ minus_spin)[:, 0]) / inertia
    turn = -rotation @ minus_spin
    tau = np.where(command > speed, p.rotor_time_up, p.rotor_time_down)
    speed_change = (command - speed) / tau if p.rotor_time_up else np.zeros_like(speed)
    return np.concatenate([velocity, acceleration, turn.reshape(-1, 9), rate_change, speed_change], axis=1)


def random_flight(
    p: QuadrotorParameters, rows: int, steps: int, duration: float = H, tolerance: float = 1e-12
) -> Flight:
    """Random states with rotors near hover; each command is uniform over the full range and new every step."""
    rng = np.random.default_rng(0)
    position, velocity = rng.uniform(-1.0, 1.0, (rows, 3)) + 50.0 * UP, rng.uniform(-2.0, 2.0, (rows, 3))
    rotation = Rotation.from_quat(rng.normal(size=(rows, 4))).as_matrix().reshape(rows, 9)
    rate, low = rng.uniform(-5.0, 5.0, (rows, 3)), p.rotor_speed_min
    speed = np.clip(p.hover_rotor_speed + rng.uniform(-0.05, 0.05, (rows, 4)), low, 1.0)
    actions = rng.uniform(-1.0, 1.0, (steps, rows, 4))
    start = end = np.concatenate([position, velocity, rotation, rate, speed], axis=1)
    for action in actions:
        command = low + (1.0 - low) * 0.5 * (action + 1.0)

        def flat(_: float, y: Array, command: Array = command) -> Array:
            return derivative(y.reshape(rows, 22), command, p).ravel()

        solution = solve_ivp(flat, (0.0, duration), end.ravel(), method="DOP853", rtol=tolerance, atol=tolerance)
        end = solution.y[:, -1].reshape(rows, 22)
        if not p.rotor_time_up:
            end[:, 18:] = command
    return Flight(start, actions, end)


def fly(flight: Flight, p: QuadrotorParameters, dtype: torch.dtype, substeps: int = 1, duration: float = H) -> Array:
    """(B, 22) end of a flight as the package computes it, every command held for `substeps` steps."""
    quaternion = matrices(flight.start).as_quat(scalar_first=True)
    fields = (flight.start[:, :3], flight.start[:, 3:6], quaternion, flight.start[:, 15:18], flight.start[:, 18:])
    state = QuadrotorState.of(*(torch.tensor(x, dtype=dtype) for x in fields))
    frame = dynamics.airframe(p, duration / substeps, dtype, torch.device("cpu"))
    for action in torch.tensor(flight.actions, dtype=dtype).repeat_interleave(substeps, dim=0):
        state = rigid_body.step(state, action, frame, duration / substeps)
    position, velocity, quaternion, rate, speed = (x.double().numpy() for x in state.parts)
    rotation = Rotation.from_quat(quaternion, scalar_first=True).as_matrix().reshape(-1, 9)
    return np.concatenate([position, velocity, rotation, rate, speed], axis=1)


def matrices(y: Array) -> Rotation:
    """Attitudes of (B, 22) rows."""
    return Rotation.from_matrix(y[:, 6:15].reshape(-1, 3, 3))


def errors(a: Array, b: Array) -> Array:
    """Largest distance over the rows of position [m], velocity [m/s], attitude [rad] and rate [rad/s]."""
    parts = [np.linalg.norm((a - b)[:, part], axis=1) for part in (slice(0, 3), slice(3, 6), slice(15, 18))]
    angle = (matrices(a).inv() * matrices(b)).magnitude()
    return np.array([parts[0].max(), parts[1].max(), angle.max(), parts[2].max()])


@EVERY_PRESET
def test_one_second_of_random_commands(name: str) -> None:
    p = preset(name)
    flight = random_flight(p, rows=6, steps=100, tolerance=1e-9)  # far below the bounds
    double, single = fly(flight, p, torch.float64), fly(flight, p, torch.float32)
    assert (
        np.linalg.norm(flight.end[:, 3:6] - flight.start[:, 3:6], axis=1).min() > 1.0
    )  # m/s: the flights go somewhere
    np.testing.assert_array_less(errors(double, flight.end), BOUNDS[name])
    np.testing.assert_allclose(double[:, 18:], flight.end[:, 18:], rtol=0, atol=1e-10)  # what the reference allows
    np.testing.assert_array_less(errors(single, double), ROUNDING_BOUNDS)


@EVERY_PRESET
def test_halving_the_step_divides_the_error_by_sixteen(name: str) -> None:
    """Fourth order: log2 of the ratio of the errors is 4 in the limit of short steps; here 2.5 ms against 1.25 ms."""
    p = preset(name)
    flight = random_flight(p, rows=6, steps=1, duration=0.1)
    coarse, fine = (errors(fly(flight, p, torch.float64, n, duration=0.1), flight.end) for n in (40, 80))
    np.testing.assert_allclose(np.log2(coarse / fine), 4.0, atol=0.1)
