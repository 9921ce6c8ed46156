"""Former command interfaces: motors, collective thrust with body rates (ctbr), and velocity, with their inner loops.

The rate loop is a PID on body rates with the derivative of the measured rate; docs/concepts/quadrotor.md has it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.speed.former.body import Body, heading, rotation_rows, to_body
from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters

_INNER_HZ = 500.0
_YAW_SHARE = 0.25  # largest thrust for turning about z, share of the weight
_INTEGRAL_SHARE = 0.125  # limit of the integral, share of the weight
_LEAST_LIFT = 0.3  # share of g; it keeps the direction of the wanted force defined in a descent


class Interface(ABC):
    """Inner loop between commands and motors, with `substeps` runs per control step."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    substeps: int

    def begin(self, body: Body) -> Any:
        """Memory at the start of an episode; () for none."""
        return ()

    @abstractmethod
    def motors(self, command: Tensor, body: Body, memory: Any, duration: float) -> tuple[Tensor, Any]:
        """Motor commands (4, B) in [-1, 1] and the new memory for a command (A, B) and a substep of `duration` [s]."""


class Motors(Interface):
    """Commands of the four rotors."""

    low, high = (-1.0,) * 4, (1.0,) * 4
    substeps = 1

    def __init__(self, parameters: QuadrotorParameters, control_hz: float, device: torch.device) -> None:
        pass

    def motors(self, command: Tensor, body: Body, memory: Any, duration: float) -> tuple[Tensor, Any]:
        """The command itself."""
        return command, memory


class RateMemory(NamedTuple):
    """Memory of the rate loop."""

    integral: Tensor
    """(B, 3) angular acceleration [rad/s^2]."""
    rate: Tensor
    """(B, 3) body rates of the previous inner-loop step [rad/s]."""


class RateLoop:
    """From mass-specific thrust and body rates to motor commands."""

    def __init__(self, parameters: QuadrotorParameters, device: torch.device) -> None:
        p, gains, (jx, jy, jz) = parameters, parameters.gains, parameters.inertia

        def column(*values: float) -> Tensor:
            return torch.tensor(values, device=device).unsqueeze(1)

        x, y = p.rotor_offset
        self.parameters = p
        self.proportional, self.integral = column(*gains.rate), column(*gains.rate_integral)
        self.derivative = column(*gains.rate_derivative)
        self.turn_gain = column(p.mass * y / jx, p.mass * x / jy, p.mass * p.torque_per_thrust / jz)
        self.gyroscopic = column((jy - jz) / jx, (jz - jx) / jy, (jx - jy) / jz)
        self.integral_limit = self.turn_gain * (_INTEGRAL_SHARE * GRAVITY)
        self.yaw_limit = _YAW_SHARE * GRAVITY
        self.least = p.thrust(p.rotor_speed_min) / p.mass
        self.most = p.thrust(1.0) / p.mass

    def begin(self, body: Body) -> RateMemory:
        """Memory with zero integral and the present rates."""
        return RateMemory(torch.zeros_like(body.angular_velocity), body.angular_velocity.clone())

    def motors(
        self, thrust: Tensor, rate_command: Tensor, body: Body, memory: RateMemory, duration: float
    ) -> tuple[Tensor, RateMemory]:
        """Motor commands (4, B) and new memory for a thrust (B,) [m/s^2] and body rates (3, B) [rad/s]."""
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
        """Motor commands (4, B) of thrust (B,) and thrust differences (3, B) that turn the body [m/s^2]."""
        x, y = imbalance[0], imbalance[1]
        z = imbalance[2].clamp(-self.yaw_limit, self.yaw_limit)
        push = 0.25 * torch.stack((thrust - x - y - z, thrust - x + y + z, thrust + x + y - z, thrust + x - y + z))
        push = push - (push.amax(dim=0) - self.most).clamp_min(0.0)
        push = push + (self.least - push.amin(dim=0)).clamp_min(0.0)
        return self._command(push.clamp(self.least, self.most))

    def _command(self, push: Tensor) -> Tensor:
        """Motor commands in [-1, 1] for thrusts (4, B) [m/s^2], by the inverse thrust curve."""
        p = self.parameters
        c0, c1, c2 = p.thrust_curve
        root = (c1 * c1 - 4.0 * c2 * (c0 - p.mass * push)).clamp_min(0.0).sqrt()
        speed = (root - c1) / (2.0 * c2)
        low = p.rotor_speed_min
        return ((speed - low) * (2.0 / (1.0 - low)) - 1.0).clamp(-1.0, 1.0)


class BodyRates(Interface):
    """Collective thrust over nominal mass [g] and body rates [rad/s]."""

    def __init__(self, parameters: QuadrotorParameters, control_hz: float, device: torch.device) -> None:
        rates = parameters.gains.max_rate
        weight = 0.25 * parameters.mass * GRAVITY
        self.low = (parameters.thrust(parameters.rotor_speed_min) / weight, *(-rate for rate in rates))
        self.high = (parameters.thrust_to_weight, *rates)
        self.substeps = max(1, round(_INNER_HZ / control_hz))
        self.loop = RateLoop(parameters, device)

    def begin(self, body: Body) -> RateMemory:
        """Memory of the rate loop."""
        return self.loop.begin(body)

    def motors(self, command: Tensor, body: Body, memory: RateMemory, duration: float) -> tuple[Tensor, RateMemory]:
        """As Interface.motors, for a command of thrust and rates (4, B)."""
        return self.loop.motors(command[0] * GRAVITY, command[1:], body, memory, duration)


class Velocity(Interface):
    """Velocity in the heading frame [m/s] and yaw rate [rad/s]."""

    def __init__(self, parameters: QuadrotorParameters, control_hz: float, device: torch.device) -> None:
        self.gains = parameters.gains
        self.high = (*self.gains.max_speed, self.gains.max_rate[2])
        self.low = tuple(-bound for bound in self.high)
        self.substeps = max(1, round(_INNER_HZ / control_hz))
        self.most_lift = 0.9 * parameters.thrust_to_weight * GRAVITY
        self.slope = math.tan(self.gains.max_tilt)
        self.loop = RateLoop(parameters, device)

    def begin(self, body: Body) -> RateMemory:
        """Memory of the rate loop; the outer loops have none."""
        return self.loop.begin(body)

    def motors(self, command: Tensor, body: Body, memory: RateMemory, duration: float) -> tuple[Tensor, RateMemory]:
        """As Interface.motors, for a command of velocity and yaw rate (4, B)."""
        rows = rotation_rows(body.quaternion.t())
        force = self._force(_from_heading(rows, command[:3]) - body.velocity.t())
        wanted = to_body(rows, force)
        rates = self.gains.attitude * _turn(wanted) + command[3] * rows[2]
        return self.loop.motors(wanted[2].clamp_min(0.0), rates, body, memory, duration)

    def _force(self, error: Tensor) -> Tensor:
        """Wanted specific force (3, B) in the world [m/s^2] for a velocity error (3, B) [m/s]."""
        x, y, z = self.gains.velocity * error
        lift = (z + GRAVITY).clamp(_LEAST_LIFT * GRAVITY, self.most_lift)
        level = (x * x + y * y).sqrt()
        share = (self.slope * lift / level.clamp_min(1e-6)).clamp_max(1.0)
        return torch.stack((x * share, y * share, lift))


def _from_heading(rows: Tensor, vector: Tensor) -> Tensor:
    """World vector (3, B) of a vector in the heading frame of rotation rows (3, 3, B)."""
    cosine, sine = heading(rows)
    x, y, z = vector
    return torch.stack((cosine * x - sine * y, sine * x + cosine * y, z))


def _turn(wanted: Tensor) -> Tensor:
    """Rotation vector (3, B) from body z to a body vector (3, B), of length 2 sin(theta / 2)."""
    x, y, z = wanted
    length = (x * x + y * y + z * z).sqrt().clamp_min(1e-6)
    x, y, z = x / length, y / length, z / length
    upside_down = z < -0.9999
    scale = (2.0 / (1.0 + z).clamp_min(1e-4)).sqrt()
    about_x = torch.where(upside_down, 2.0, -y * scale)
    about_y = torch.where(upside_down, 0.0, x * scale)
    return torch.stack((about_x, about_y, torch.zeros_like(z)))
