"""Former rigid body with first-order rotors, batched in torch; docs/concepts/quadrotor.md has the equations.

World frame: z up, right-handed. Body frame: x forward, y left, z up. Quaternions are (w, x, y, z), body to world.
Arrays are component-first, (k, B); states are batch-first views of the same memory.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters


class Body(NamedTuple):
    """State of the rigid body and its rotors for B rows."""

    position: Tensor
    """(B, 3) in the world frame [m]."""
    velocity: Tensor
    """(B, 3) in the world frame [m/s]."""
    quaternion: Tensor
    """(B, 4) unit quaternion, body to world."""
    angular_velocity: Tensor
    """(B, 3) in the body frame [rad/s]."""
    rotor_speed: Tensor
    """(B, 4) fraction of the maximum rotor speed, in [0, 1]."""


class Airframe(NamedTuple):
    """Coefficients of the equations of motion for one step length; every rotor has a lag."""

    speed_min: Tensor
    """() idle speed of a rotor, fraction of the maximum."""
    lag_half: tuple[Tensor, Tensor]
    """exp(-h/2 / tau) for rotors that speed up and for rotors that slow down."""
    lag_full: tuple[Tensor, Tensor]
    """exp(-h / tau), in the same way."""
    push_curve: tuple[Tensor, Tensor, Tensor]
    """(4, 1) thrust curve over mass [m/s^2]."""
    turn_gain: Tensor
    """(3, 1) angular acceleration about x, y, z per unit of rotor push imbalance [rad/m]."""
    gyroscopic: Tensor
    """(3, 1) (Jy - Jz) / Jx and its cyclic successors."""
    drag_across: Tensor
    """() linear drag of body x and y over mass [1/s]."""
    drag_excess: Tensor
    """() additional linear drag of body z over mass [1/s]."""


def airframe(parameters: QuadrotorParameters, duration: float, device: torch.device) -> Airframe:
    """Coefficients of an airframe for a step length [s]."""

    def tensor(*values: float) -> Tensor:
        return torch.tensor(values, device=device)

    p, (jx, jy, jz) = parameters, parameters.inertia
    taus = (p.rotor_time_up, p.rotor_time_down)
    across, along = (d / p.mass for d in p.drag)
    half, full = (tuple(tensor(_decay(time, tau))[0] for tau in taus) for time in (0.5 * duration, duration))
    curve = [tensor(c / p.mass).expand(4, 1).contiguous() for c in p.thrust_curve]
    x, y = p.rotor_offset
    return Airframe(
        speed_min=tensor(p.rotor_speed_min)[0],
        lag_half=(half[0], half[1]),
        lag_full=(full[0], full[1]),
        push_curve=(curve[0], curve[1], curve[2]),
        turn_gain=tensor(p.mass * y / jx, p.mass * x / jy, p.mass * p.torque_per_thrust / jz).unsqueeze(1),
        gyroscopic=tensor((jy - jz) / jx, (jz - jx) / jy, (jx - jy) / jz).unsqueeze(1),
        drag_across=tensor(across)[0],
        drag_excess=tensor(along - across)[0],
    )


def step(state: Body, action: Tensor, frame: Airframe, duration: float) -> Body:
    """Apply constant motor commands for one step; a body that reaches the ground stops there.

    Rotors: u(t) = c + (u0 - c) exp(-t / tau). Body, with the rotor axis z_b in the world frame:

        p' = v,    v' = z_b (T/m - (d_z - d_xy)/m v.z_b) - d_xy/m v - g e_z
        q' = q (0, omega) / 2,    J omega' = tau - omega x J omega

    Args:
        state: B rows.
        action: (B, 4) motor commands; -1 is idle speed, +1 full speed.
        frame: Coefficients for this step length.
        duration: Step length [s].
    """
    command = torch.addcmul(frame.speed_min, action.t() + 1.0, 0.5 * (1.0 - frame.speed_min))
    start = state.rotor_speed.t()
    half, end = _lag(start, command, frame.lag_half), _lag(start, command, frame.lag_full)
    loads = [_load(speed, frame) for speed in (start, half, end)]
    before = torch.cat((state.position.t(), state.velocity.t(), state.quaternion.t(), state.angular_velocity.t()))
    body = before
    slope = _derivative(body, loads[0], frame)
    total = slope
    for weight, fraction, load in ((2.0, 0.5, loads[1]), (2.0, 0.5, loads[1]), (1.0, 1.0, loads[2])):
        slope = _derivative(torch.add(body, slope, alpha=fraction * duration), load, frame)
        total = torch.add(total, slope, alpha=weight)
    body = torch.add(body, total, alpha=duration / 6.0)
    body[6:10].div_(torch.sqrt(squared_norm(body[6:10])))
    _rest_on_ground(body, before)
    position, velocity, quaternion, angular_velocity = body.split((3, 3, 4, 3))
    return Body(position.t(), velocity.t(), quaternion.t(), angular_velocity.t(), end.t())


def rotation_rows(quaternion: Tensor) -> Tensor:
    """Rotation matrices (3, 3, B), body to world, of component-first quaternions (4, B)."""
    w, vector = quaternion[0], quaternion[1:]
    minus_one = torch.tensor(-1.0, dtype=w.dtype, device=w.device)
    double = vector + vector
    turn = w * double
    rows = double.unsqueeze(1) * vector.unsqueeze(0)
    real = torch.addcmul(minus_one, w, w, value=2)
    for i in range(3):
        rows[i, i].add_(real)
    for row, column, axis in ((1, 0, 2), (2, 1, 0), (0, 2, 1)):
        rows[row, column].add_(turn[axis])
        rows[column, row].sub_(turn[axis])
    return rows


def to_body(rows: Tensor, vector: Tensor) -> Tensor:
    """World vector (3, B) in the body frame, R^T v, for rotation rows (3, 3, B)."""
    return (rows[0] * vector[0]).addcmul_(rows[1], vector[1]).addcmul_(rows[2], vector[2])


def heading(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine (B,) of the heading of rotation rows (3, 3, B); heading 0 if body x is vertical."""
    x, y = rows[0, 0], rows[1, 0]
    level = (x * x + y * y).sqrt()
    defined = level > 1e-6
    level = level.clamp_min(1e-6)
    return torch.where(defined, x / level, 1.0), torch.where(defined, y / level, 0.0)


def squared_norm(vector: Tensor) -> Tensor:
    """Squared length (B,) of component-first vectors (k, B)."""
    total = vector[0] * vector[0]
    for component in vector[1:]:
        total.addcmul_(component, component)
    return total


def _decay(time: float, tau: float) -> float:
    """exp(-time / tau)."""
    return math.exp(-time / tau)


def _lag(speed: Tensor, command: Tensor, lag: tuple[Tensor, Tensor]) -> Tensor:
    """Rotor speeds (4, B) after the time of `lag` with a constant command."""
    up, down = lag
    error = speed - command
    # error up while the rotor speeds up (error < 0), error down while it slows down
    return torch.addcmul(command, error, up).addcmul_(error.clamp_min(0.0), down - up)


def _load(speed: Tensor, frame: Airframe) -> tuple[Tensor, Tensor]:
    """Acceleration along body z (B,) [m/s^2] and angular acceleration (3, B) [rad/s^2] of the rotors.

    Args:
        speed: (4, B) rotor speeds in the order front right, back right, back left, front left.
        frame: The airframe.
    """
    c0, c1, c2 = frame.push_curve
    push = torch.addcmul(c0, torch.addcmul(c1, c2, speed), speed)
    right, left = push[0] + push[1], push[2] + push[3]
    front, back = push[0] + push[3], push[1] + push[2]
    clockwise, counter = push[1] + push[3], push[0] + push[2]
    turn = torch.stack((left - right, back - front, clockwise - counter))
    return right + left, turn.mul_(frame.turn_gain)


def _derivative(body: Tensor, load: tuple[Tensor, Tensor], frame: Airframe) -> Tensor:
    """Time derivative (13, B) of position, velocity, quaternion and angular velocity."""
    push, turn = load
    velocity, quaternion, rate = body[3:6], body[6:10], body[10:13]
    (qw, qx, qy, qz), (wx, wy, wz) = quaternion.unbind(0), rate.unbind(0)
    out = torch.empty_like(body)
    out[0:3] = velocity
    _rotor_axis(qw, qx, qy, qz, out[3:6])
    vx, vy, vz = velocity.unbind(0)
    zx, zy, zz = out[3:6].unbind(0)
    along = (vx * zx).addcmul_(vy, zy).addcmul_(vz, zz)
    out[3:6].mul_(torch.addcmul(push, along, frame.drag_excess, value=-1))
    out[3:6].addcmul_(velocity, frame.drag_across, value=-1)
    out[5].sub_(GRAVITY)
    hx, hy, hz = torch.mul(rate, 0.5).unbind(0)
    out[6] = (qx * hx).addcmul_(qy, hy).addcmul_(qz, hz).neg_()
    torch.mul(qw, hx, out=out[7]).addcmul_(qy, hz).addcmul_(qz, hy, value=-1)
    torch.mul(qw, hy, out=out[8]).addcmul_(qz, hx).addcmul_(qx, hz, value=-1)
    torch.mul(qw, hz, out=out[9]).addcmul_(qx, hy).addcmul_(qy, hx, value=-1)
    torch.mul(wy, wz, out=out[10])
    torch.mul(wz, wx, out=out[11])
    torch.mul(wx, wy, out=out[12])
    out[10:13].mul_(frame.gyroscopic).add_(turn)
    return out


def _rotor_axis(qw: Tensor, qx: Tensor, qy: Tensor, qz: Tensor, out: Tensor) -> None:
    """Write body z in the world frame into `out` (3, B)."""
    torch.mul(qx, qz, out=out[0]).addcmul_(qw, qy)
    torch.mul(qy, qz, out=out[1]).addcmul_(qw, qx, value=-1)
    torch.mul(qz, qz, out=out[2]).addcmul_(qw, qw)
    out.add_(out)
    out[2].sub_(1.0)


def _rest_on_ground(body: Tensor, before: Tensor) -> None:
    """Stop rows of `body` (13, B) below z = 0 on the floor.

    They keep place and attitude of `before` the step.
    """
    below = body[2] < 0.0
    if bool(below.any()):
        rows = below.nonzero().squeeze(1)
        body[:, rows] = before[:, rows]
        body[2, rows] = 0.0
        body[3:6, rows] = 0.0
        body[10:13, rows] = 0.0


class Pose(NamedTuple):
    """Pose and motion of B bodies; component-first."""

    position: Tensor
    """(3, B) in the world frame [m]."""
    velocity: Tensor
    """(3, B) in the world frame [m/s]."""
    rows: Tensor
    """(3, 3, B) rotation matrix, body to world; rows[2] is the direction of world z in the body frame."""
    angular_velocity: Tensor
    """(3, B) in the body frame [rad/s]."""

    def in_body(self, vector: Tensor) -> Tensor:
        """World vector (3, B) in the body frame."""
        return to_body(self.rows, vector)


def pose_of(body: Body) -> Pose:
    """Pose and motion of a body."""
    rows = rotation_rows(body.quaternion.t())
    return Pose(body.position.t(), body.velocity.t(), rows, body.angular_velocity.t())
