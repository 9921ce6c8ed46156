"""Innermost loop of an autopilot: from mass-specific thrust and body rates to motor commands.

The wanted angular acceleration is

    a = k_p (rate_c - rate) + i - k_d d rate/dt,    i' = k_i (rate_c - rate),    |i| bounded

The nominal moments and gyroscopic terms give four thrusts, and the nominal thrust curve four motor commands. If these
exceed idle or full thrust, collective thrust is changed first in favour of turning; the rest is clipped per rotor.
Turning about z needs the largest thrusts and is limited to a quarter of the weight before.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters

_YAW_SHARE = 0.25  # largest thrust for turning about z, share of the weight
_INTEGRAL_SHARE = 0.125  # limit of the integral, share of the weight


class RateMemory(NamedTuple):
    """Memory of the rate loop."""

    values: Tensor
    """(B, 6) integral [rad/s^2], then body rates of the previous inner-loop step [rad/s]."""

    @property
    def integral(self) -> Tensor:
        """(B, 3) angular acceleration [rad/s^2]."""
        return self.values[:, :3]

    @property
    def rate(self) -> Tensor:
        """(B, 3) body rates of the previous inner-loop step [rad/s]."""
        return self.values[:, 3:]


def begin(body: QuadrotorState) -> RateMemory:
    """Memory with zero integral and the present rates."""
    return RateMemory(torch.cat((torch.zeros_like(body.angular_velocity), body.angular_velocity), dim=1))


def gains(parameters: QuadrotorParameters) -> list[float]:
    """Gains of the rate loop and the mixer of an airframe, in the order of kernels.py."""
    p, (jx, jy, jz) = parameters, parameters.inertia
    x, y = p.rotor_offset
    turn_gain = (p.mass * y / jx, p.mass * x / jy, p.mass * p.torque_per_thrust / jz)
    return [
        *p.gains.rate,
        *p.gains.rate_integral,
        *p.gains.rate_derivative,
        *(_INTEGRAL_SHARE * GRAVITY * gain for gain in turn_gain),
        _YAW_SHARE * GRAVITY,
        p.thrust(p.rotor_speed_min) / p.mass,
        p.thrust(1.0) / p.mass,
        *turn_gain,
        (jy - jz) / jx,
        (jz - jx) / jy,
        (jx - jy) / jz,
        *(coefficient / p.mass for coefficient in p.thrust_curve),
        p.rotor_speed_min,
    ]
