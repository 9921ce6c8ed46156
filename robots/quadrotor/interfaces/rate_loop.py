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

    integral: Tensor
    """(B, 3) angular acceleration [rad/s^2]."""
    rate: Tensor
    """(B, 3) body rates of the previous inner-loop step [rad/s]."""


class RateLoop:
    """PID loop on body rates, with the derivative of the measured rate, and the mixer."""

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
        """Memory with zero integral and the present rates."""
        return RateMemory(torch.zeros_like(body.angular_velocity), body.angular_velocity.clone())

    def motors(
        self, thrust: Tensor, rate_command: Tensor, body: QuadrotorState, memory: RateMemory, duration: float
    ) -> tuple[Tensor, RateMemory]:
        """Motor commands for one inner-loop step.

        Args:
            thrust: (B,) mass-specific thrust [m/s^2].
            rate_command: (3, B) body rates [rad/s].
            body: B bodies.
            memory: Memory of the loop.
            duration: Length of the inner-loop step [s].

        Returns:
            Motor commands (4, B) in [-1, 1] and the new memory.
        """
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
        """Motor commands (4, B) of mass-specific thrust (B,) and thrust differences (3, B) [m/s^2].

        The differences turn the body about x, y and z.
        """
        x, y = imbalance[0], imbalance[1]
        z = imbalance[2].clamp(-self.yaw_limit, self.yaw_limit)
        push = 0.25 * torch.stack((thrust - x - y - z, thrust - x + y + z, thrust + x + y - z, thrust + x - y + z))
        push = push - (push.amax(dim=0) - self.most).clamp_min(0.0)
        push = push + (self.least - push.amin(dim=0)).clamp_min(0.0)
        return self._command(push.clamp(self.least, self.most))

    def _command(self, push: Tensor) -> Tensor:
        """Motor commands in [-1, 1] for mass-specific thrusts (4, B) [m/s^2], by the inverse thrust curve."""
        p = self.parameters
        c0, c1, c2 = p.thrust_curve
        root = (c1 * c1 - 4.0 * c2 * (c0 - p.mass * push)).clamp_min(0.0).sqrt()
        speed = (root - c1) / (2.0 * c2)
        low = p.rotor_speed_min
        return ((speed - low) * (2.0 / (1.0 - low)) - 1.0).clamp(-1.0, 1.0)
