"""interface=velocity: commands of velocity and yaw rate.

The velocity is in the heading frame: x along the horizontal direction of the nose, y left, z up. With the wanted
specific force f, limited to max_tilt from the vertical, and the rotor axis z_b:

    f = k_v (v_c - v) + g e_z,    thrust = f . z_b,    rate_c = k_a n + yaw_rate R^T e_z

The vector n has the direction of z_b x f and the length 2 sin(theta / 2) for the angle theta between z_b and f.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState, heading, rotation_rows, to_body
from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters
from robots.quadrotor.interfaces.interface import Interface, substeps_at
from robots.quadrotor.interfaces.rate_loop import RateLoop, RateMemory
from robots.simulator import Channel

_LEAST_LIFT = 0.3  # share of g; it keeps the direction of f defined in a descent


class Velocity(Interface):
    """Velocity in the heading frame and yaw rate; velocity, attitude and rate loops run at 500 Hz."""

    action = (
        *(Channel(f"velocity_command_{axis}", "m/s", "heading") for axis in "xyz"),
        Channel("yaw_rate_command", "rad/s", "world"),
    )
    neutral = (0.0, 0.0, 0.0, 0.0)

    def __init__(
        self, parameters: QuadrotorParameters, control_hz: float, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.gains = parameters.gains
        self.high = (*self.gains.max_speed, self.gains.max_rate[2])
        self.low = tuple(-bound for bound in self.high)
        self.substeps = substeps_at(control_hz)
        self.most_lift = 0.9 * parameters.thrust_to_weight * GRAVITY
        self.slope = math.tan(self.gains.max_tilt)
        self.loop = RateLoop(parameters, dtype, device)

    def begin(self, body: QuadrotorState) -> RateMemory:
        """Memory of the rate loop; the outer loops have none."""
        return self.loop.begin(body)

    def motors(
        self, command: Tensor, body: QuadrotorState, memory: RateMemory, duration: float
    ) -> tuple[Tensor, RateMemory]:
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
    """Rotation vector (3, B) from body z to a body vector (3, B), of length 2 sin(theta / 2).

    For the unit vector (x, y, z) it is sqrt(2 / (1 + z)) (-y, x, 0). For the opposite of body z it is about body x.
    """
    x, y, z = wanted
    length = (x * x + y * y + z * z).sqrt().clamp_min(1e-6)
    x, y, z = x / length, y / length, z / length
    upside_down = z < -0.9999
    scale = (2.0 / (1.0 + z).clamp_min(1e-4)).sqrt()
    about_x = torch.where(upside_down, 2.0, -y * scale)
    about_y = torch.where(upside_down, 0.0, x * scale)
    return torch.stack((about_x, about_y, torch.zeros_like(z)))
