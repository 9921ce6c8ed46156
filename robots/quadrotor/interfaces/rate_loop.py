"""The innermost loop of an autopilot: from mass-specific thrust and body rates to motor commands.

    a = k_p (rate_c - rate) + i - k_d d rate/dt,    i' = k_i (rate_c - rate),    |i| bounded

is the wanted angular acceleration. With the nominal moments and gyroscopic terms it becomes four thrusts, and these,
through the nominal thrust curve, four motor commands. Where they do not fit between idle and full thrust, thrust in
all gives way to turning first, and what still does not fit is clipped rotor by rotor. Turning about z, which costs
most, is bounded by a quarter of the weight beforehand.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters

_YAW_SHARE = 0.25  # of the weight, shifted between the two pairs of rotors
_INTEGRAL_SHARE = 0.125  # of the weight, held by an integral


class RateMemory(NamedTuple):
    """What the loop remembers."""

    integral: Tensor
    """(B, 3) angular acceleration [rad/s^2]."""
    rate: Tensor
    """(B, 3) body rates one substep before [rad/s]."""


class RateLoop:
    """PID loop on body rates, with the derivative on the measured rate, and the mixer behind it."""

    def __init__(self, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device) -> None:
        p, gains, (jx, jy, jz) = parameters, parameters.gains, parameters.inertia

        def column(*values: float) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device).unsqueeze(1)

        arm = p.mass * p.rotor_offset
        self.parameters = p
        self.proportional, self.integral = column(*gains.rate), column(*gains.rate_integral)
        self.derivative = column(*gains.rate_derivative)
        self.turn_gain = column(arm / jx, arm / jy, p.mass * p.torque_per_thrust / jz)
        self.gyroscopic = column((jy - jz) / jx, (jz - jx) / jy, (jx - jy) / jz)
        self.integral_limit = self.turn_gain * (_INTEGRAL_SHARE * GRAVITY)
        self.yaw_limit = _YAW_SHARE * GRAVITY
        self.least = p.thrust(p.rotor_speed_min) / p.mass
        self.most = p.thrust(1.0) / p.mass

    def begin(self, body: QuadrotorState) -> RateMemory:
        """No integral, and a rate that has not changed."""
        return RateMemory(torch.zeros_like(body.angular_velocity), body.angular_velocity.clone())

    def motors(
        self, thrust: Tensor, rate_command: Tensor, body: QuadrotorState, memory: RateMemory, duration: float
    ) -> tuple[Tensor, RateMemory]:
        """Motor commands (4, B) for a mass-specific thrust (B,) [m/s^2] and body rates (3, B) [rad/s]."""
        rate = body.angular_velocity.t()
        error = rate_command - rate
        change = (rate - memory.rate.t()) / duration
        integral = memory.integral.t() + self.integral * error * duration
        integral = torch.maximum(torch.minimum(integral, self.integral_limit), -self.integral_limit)
        wanted = self.proportional * error + integral - self.derivative * change
        wx, wy, wz = rate
        torque_free = self.gyroscopic * torch.stack((wy * wz, wz * wx, wx * wy))
        command = self._mix(thrust, (wanted - torque_free) / self.turn_gain)
        return command, RateMemory(integral.t(), body.angular_velocity)

    def _mix(self, thrust: Tensor, imbalance: Tensor) -> Tensor:
        """Motor commands (4, B) of a thrust (B,) and of the differences of push (3, B) that turn about x, y, z, all
        over mass [m/s^2]."""
        x, y = imbalance[0], imbalance[1]
        z = imbalance[2].clamp(-self.yaw_limit, self.yaw_limit)
        push = 0.25 * torch.stack((thrust - x - y - z, thrust - x + y + z, thrust + x + y - z, thrust + x - y + z))
        push = push - (push.amax(dim=0) - self.most).clamp_min(0.0)
        push = push + (self.least - push.amin(dim=0)).clamp_min(0.0)
        return self._command(push.clamp(self.least, self.most))

    def _command(self, push: Tensor) -> Tensor:
        """Motor commands in [-1, 1] at which rotors push (4, B) in the end [m/s^2]: the thrust curve, inverted."""
        p = self.parameters
        c0, c1, c2 = p.thrust_curve
        root = (c1 * c1 - 4.0 * c2 * (c0 - p.mass * push)).clamp_min(0.0).sqrt()
        speed = (root - c1) / (2.0 * c2)
        low = p.rotor_speed_min
        return ((speed - low) * (2.0 / (1.0 - low)) - 1.0).clamp(-1.0, 1.0)
