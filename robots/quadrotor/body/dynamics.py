"""State of the quadrotor and its coefficients; kernels.py has the equations."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from robots.quadrotor.body.parameters import QuadrotorParameters


class QuadrotorState(NamedTuple):
    """State of the rigid body and its rotors for B rows, in one tensor."""

    values: Tensor
    """(B, 17) position, velocity, quaternion, angular velocity, rotor speeds."""

    @classmethod
    def of(
        cls, position: Tensor, velocity: Tensor, quaternion: Tensor, angular_velocity: Tensor, rotor_speed: Tensor
    ) -> QuadrotorState:
        """State of its parts; shapes and units are those of the properties."""
        return cls(torch.cat((position, velocity, quaternion, angular_velocity, rotor_speed), dim=1))

    @property
    def position(self) -> Tensor:
        """(B, 3) in the world frame [m]."""
        return self.values[:, 0:3]

    @property
    def velocity(self) -> Tensor:
        """(B, 3) in the world frame [m/s]."""
        return self.values[:, 3:6]

    @property
    def quaternion(self) -> Tensor:
        """(B, 4) unit quaternion, body to world."""
        return self.values[:, 6:10]

    @property
    def angular_velocity(self) -> Tensor:
        """(B, 3) in the body frame [rad/s]."""
        return self.values[:, 10:13]

    @property
    def rotor_speed(self) -> Tensor:
        """(B, 4) fraction of the maximum rotor speed, in [0, 1]."""
        return self.values[:, 13:17]

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Position, velocity, quaternion, angular velocity and rotor speeds."""
        return self.values.split((3, 3, 4, 3, 4), dim=1)

    def changed(self, **parts: Tensor) -> QuadrotorState:
        """The same state with other `parts`, by the names of the properties."""
        names = ("position", "velocity", "quaternion", "angular_velocity", "rotor_speed")
        return self.of(**{**dict(zip(names, self.parts, strict=True)), **parts})


def airframe(parameters: QuadrotorParameters, duration: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Coefficients (1, 30) of an airframe, in the order of kernels.py.

    Args:
        parameters: The airframe.
        duration: Step length h [s].
        dtype: Type of the coefficients.
        device: Their device.
    """
    p, (jx, jy, jz) = parameters, parameters.inertia
    taus = (p.rotor_time_up, p.rotor_time_down)
    across, along = (d / p.mass for d in p.drag)
    x, y = p.rotor_offset
    row = (
        p.rotor_speed_min,
        *(float(tau > 0.0) for tau in taus),
        *(_decay(0.5 * duration, tau) for tau in taus),
        *(_decay(duration, tau) for tau in taus),
        *(coefficient / p.mass for coefficient in p.thrust_curve for _ in range(4)),
        *(p.mass * y / jx, p.mass * x / jy, p.mass * p.torque_per_thrust / jz),
        *((jy - jz) / jx, (jz - jx) / jy, (jx - jy) / jz),
        *(across, along - across),
        *(0.0, 0.0, 0.0),  # no wind
    )
    return torch.tensor([row], dtype=dtype, device=device)


def hover_action(parameters: QuadrotorParameters) -> float:
    """Motor command in [-1, 1] at which the thrust equals the weight."""
    low = parameters.rotor_speed_min
    return 2.0 * (parameters.hover_rotor_speed - low) / (1.0 - low) - 1.0


def _decay(time: float, tau: float) -> float:
    """exp(-time / tau), or 0 for a rotor without lag."""
    return math.exp(-time / tau) if tau > 0.0 else 0.0
