"""Where the conventions of gym-pybullet-drones become ours and back: the one place that knows both.

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

Their MAX_RPM follows from thrust over weight 2.25 at their gravity, as ours does at ours. A fraction u therefore lifts
the same share of the weight in both, and the command that hovers, u^2 = 1 / 2.25, is the same; thrust itself differs by
0.1 %, as weight does.

One quantity is not ours at all: PyBullet turns the rotors' forces by the attitude of the physics step before. It is
recovered from pose and angular velocity, since PyBullet turns a body by exp(omega h) at the end of a step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState, rotation_rows


class Conventions(NamedTuple):
    """Numbers of theirs that the mapping needs."""

    max_rpm: float
    """[1/min]"""
    physics_step: float
    """[s]"""


def to_theirs(body: QuadrotorState, motors: Tensor, theirs: Conventions) -> np.ndarray:
    """(B, 25) float64 rows as robots/pybullet_drones/vehicle.py reads them, of bodies and motor commands (B, 4)."""
    position, velocity, quaternion, rate, speed = (part.detach().cpu().double() for part in body)
    quaternion = quaternion / quaternion.norm(dim=1, keepdim=True)
    spin = body_to_world(quaternion, rate)
    link = attitude_before(quaternion, spin, theirs.physics_step)
    before, to_come = theirs.max_rpm * speed, theirs.max_rpm * rotor_speed(motors.detach().cpu().double())
    parts = (position, wxyz_to_xyzw(quaternion), velocity, spin, wxyz_to_xyzw(link), before, to_come)
    return torch.cat(parts, dim=1).numpy()


def to_ours(rows: np.ndarray, motors: Tensor, like: QuadrotorState) -> QuadrotorState:
    """Bodies of answers (B, 14) of vehicle.py, with rotors at the speeds that motor commands (B, 4) asked for; dtype
    and device are those of `like`."""
    answer = torch.from_numpy(rows.copy())
    position, xyzw, velocity, spin = answer[:, :13].split((3, 4, 3, 3), dim=1)
    quaternion = xyzw_to_wxyz(xyzw)
    parts = (position, velocity, quaternion, world_to_body(quaternion, spin), rotor_speed(motors))
    return QuadrotorState(*(part.to(like.position) for part in parts))


def rotor_speed(motors: Tensor) -> Tensor:
    """(B, 4) fractions of the maximum speed that motor commands in [-1, 1] ask for; no rotor of theirs idles."""
    return 0.5 * (motors + 1.0)


def wxyz_to_xyzw(quaternion: Tensor) -> Tensor:
    """(B, 4) with the real part last."""
    return quaternion.roll(-1, dims=1)


def xyzw_to_wxyz(quaternion: Tensor) -> Tensor:
    """(B, 4) with the real part first."""
    return quaternion.roll(1, dims=1)


def body_to_world(quaternion: Tensor, vector: Tensor) -> Tensor:
    """(B, 3) body vectors in the world frame, for attitudes (B, 4) wxyz."""
    return torch.einsum("ijb,bj->bi", rotation_rows(quaternion.t()), vector)


def world_to_body(quaternion: Tensor, vector: Tensor) -> Tensor:
    """(B, 3) world vectors in the body frame, for attitudes (B, 4) wxyz."""
    return torch.einsum("ijb,bi->bj", rotation_rows(quaternion.t()), vector)


def attitude_before(quaternion: Tensor, spin: Tensor, duration: float) -> Tensor:
    """(B, 4) wxyz attitude exp(-omega h / 2) q from which a world angular velocity (B, 3) [rad/s] led to q in h
    seconds."""
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
