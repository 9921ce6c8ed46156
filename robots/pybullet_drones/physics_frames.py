"""Conversion between the conventions of this package and of gym-pybullet-drones.

| quantity | here | there | mapping |
|---|---|---|---|
| world frame | z up, right-handed, m | the same | none |
| body frame | x forward, y left, z up | the same | none |
| attitude | quaternion (w, x, y, z), body to world | quaternion (x, y, z, w), body to world | order |
| velocity | world, m/s | the same | none |
| angular velocity | body, rad/s | world, rad/s | R omega, and R^T back |
| rotors | 1 to 4: front right, back right, back left, front left | 0 to 3: the same places | none |
| reaction torque about z | rotors 1 and 3 negative | rotors 0 and 2 negative | none |
| rotor speed | fraction u of the maximum | rpm | MAX_RPM u |
| motor command | a in [-1, 1] | rpm | MAX_RPM (a + 1) / 2; the cf2x has no idle speed |
| gravity | 9.81 m/s^2 | 9.8 m/s^2 | through MAX_RPM |

Both maximum rotor speeds follow from a thrust over weight of 2.25 at the respective gravity. A fraction u therefore
lifts the same share of the weight in both, and the command that hovers, u^2 = 1 / 2.25, is the same; thrust itself
differs by 0.1 %, as weight does.

PyBullet turns the rotors' forces by the attitude of the physics step before, which this package does not have. It is
computed from pose and angular velocity, because PyBullet turns a body by exp(omega h) at the end of a step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.rotation import rotation_rows


class Conventions(NamedTuple):
    """Values of gym-pybullet-drones for the conversion."""

    max_rpm: float
    """Largest rotor speed [1/min]."""
    physics_step: float
    """Length of a physics step [s]."""


def to_theirs(body: QuadrotorState, motors: Tensor, theirs: Conventions) -> np.ndarray:
    """Rows for vehicle.py.

    Args:
        body: B bodies.
        motors: (B, 4) motor commands in [-1, 1].
        theirs: Values for the conversion.

    Returns:
        (B, 25) float64 rows.
    """
    position, velocity, quaternion, rate, speed = (part.detach().cpu().double() for part in body.parts)
    quaternion = quaternion / quaternion.norm(dim=1, keepdim=True)
    spin = body_to_world(quaternion, rate)
    link = attitude_before(quaternion, spin, theirs.physics_step)
    before, to_come = theirs.max_rpm * speed, theirs.max_rpm * rotor_speed(motors.detach().cpu().double())
    parts = (position, wxyz_to_xyzw(quaternion), velocity, spin, wxyz_to_xyzw(link), before, to_come)
    return torch.cat(parts, dim=1).numpy()


def to_ours(rows: np.ndarray, motors: Tensor, like: QuadrotorState) -> QuadrotorState:
    """Bodies from answers of vehicle.py.

    Args:
        rows: (B, 14) answers.
        motors: (B, 4) motor commands in [-1, 1], which give the rotor speeds.
        like: State with the dtype and the device of the result.
    """
    answer = torch.from_numpy(rows.copy())
    position, xyzw, velocity, spin = answer[:, :13].split((3, 4, 3, 3), dim=1)
    quaternion = xyzw_to_wxyz(xyzw)
    parts = (position, velocity, quaternion, world_to_body(quaternion, spin), rotor_speed(motors))
    return QuadrotorState.of(*(part.to(like.position) for part in parts))


def rotor_speed(motors: Tensor) -> Tensor:
    """Rotor speeds (B, 4) in [0, 1] of motor commands in [-1, 1], without idle speed."""
    return 0.5 * (motors + 1.0)


def wxyz_to_xyzw(quaternion: Tensor) -> Tensor:
    """Quaternions (B, 4) with the real part last."""
    return quaternion.roll(-1, dims=1)


def xyzw_to_wxyz(quaternion: Tensor) -> Tensor:
    """Quaternions (B, 4) with the real part first."""
    return quaternion.roll(1, dims=1)


def body_to_world(quaternion: Tensor, vector: Tensor) -> Tensor:
    """Body vectors (B, 3) in the world frame, for attitudes (B, 4) wxyz."""
    return torch.einsum("ijb,bj->bi", rotation_rows(quaternion.t()), vector)


def world_to_body(quaternion: Tensor, vector: Tensor) -> Tensor:
    """World vectors (B, 3) in the body frame, for attitudes (B, 4) wxyz."""
    return torch.einsum("ijb,bi->bj", rotation_rows(quaternion.t()), vector)


def attitude_before(quaternion: Tensor, spin: Tensor, duration: float) -> Tensor:
    """Attitude (B, 4) wxyz before a step: exp(-omega h / 2) q.

    Args:
        quaternion: (B, 4) wxyz attitude q after the step.
        spin: (B, 3) angular velocity omega in the world frame [rad/s].
        duration: Length h of the step [s].
    """
    angle = spin.norm(dim=1, keepdim=True) * duration
    # sin(angle / 2) / angle, finite at rest
    vector = -0.5 * duration * torch.sinc(0.5 * angle / torch.pi) * spin
    w, x, y, z = torch.cat((torch.cos(0.5 * angle), vector), dim=1).unbind(1)
    a, b, c, d = quaternion.unbind(1)
    return torch.stack(
        (
            w * a - x * b - y * c - z * d,
            w * b + x * a + y * d - z * c,
            w * c - x * d + y * a + z * b,
            w * d + x * c - y * b + z * a,
        ),
        dim=1,
    )
