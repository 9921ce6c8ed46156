"""interface=velocity: the policy commands a velocity and how fast the heading turns.

The velocity is given in the heading frame: x where the nose points, seen from above, y left, z up. With f the wanted
specific force, limited to max_tilt from the vertical, and z_b the rotor axis:

    f = k_v (v_c - v) + g e_z,    thrust = f . z_b,    rate_c = k_a n + yaw_rate R^T e_z

where n points along z_b x f, its length 2 sin(theta / 2) for the angle theta between the two.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState, rotation_rows, to_body
from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters
from robots.quadrotor.interfaces.interface import Interface, substeps_at
from robots.quadrotor.interfaces.rate_loop import RateLoop, RateMemory
from robots.simulator import Channel

_LEAST_LIFT = 0.3  # of g, so that the direction of f stays defined in a descent


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
        """The rate loop's; the loops around it remember nothing."""
        return self.loop.begin(body)

    def motors(
        self, command: Tensor, body: QuadrotorState, memory: RateMemory, duration: float
    ) -> tuple[Tensor, RateMemory]:
        """Motor commands for (velocity, yaw rate) (4, B)."""
        rows = rotation_rows(body.quaternion.t())
        force = self._force(_from_heading(rows, command[:3]) - body.velocity.t())
        wanted = to_body(rows, force)
        rates = self.gains.attitude * _turn(wanted) + command[3] * rows[2]
        return self.loop.motors(wanted[2].clamp_min(0.0), rates, body, memory, duration)

    def _force(self, error: Tensor) -> Tensor:
        """(3, B) wanted specific force in the world [m/s^2] for an error of velocity (3, B)."""
        x, y, z = self.gains.velocity * error
        lift = (z + GRAVITY).clamp(_LEAST_LIFT * GRAVITY, self.most_lift)
        level = (x * x + y * y).sqrt()
        share = (self.slope * lift / level.clamp_min(1e-6)).clamp_max(1.0)
        return torch.stack((x * share, y * share, lift))


def _from_heading(rows: Tensor, vector: Tensor) -> Tensor:
    """(3, B) world vector of one in the heading frame; a nose that points straight up or down counts as along x."""
    cosine, sine = rows[0, 0], rows[1, 0]
    length = (cosine * cosine + sine * sine).sqrt()
    defined = length > 1e-6
    length = length.clamp_min(1e-6)
    cosine, sine = torch.where(defined, cosine / length, 1.0), torch.where(defined, sine / length, 0.0)
    x, y, z = vector
    return torch.stack((cosine * x - sine * y, sine * x + cosine * y, z))


def _turn(wanted: Tensor) -> Tensor:
    """(3, B) rotation that brings body z towards a body vector (3, B), of length 2 sin(theta / 2); none about z.

    For the unit vector (x, y, z) it is sqrt(2 / (1 + z)) (-y, x, 0). Straight down, where any axis will do, it is about
    body x.
    """
    x, y, z = wanted
    length = (x * x + y * y + z * z).sqrt().clamp_min(1e-6)
    x, y, z = x / length, y / length, z / length
    upside_down = z < -0.9999
    scale = (2.0 / (1.0 + z).clamp_min(1e-4)).sqrt()
    about_x = torch.where(upside_down, 2.0, -y * scale)
    about_y = torch.where(upside_down, 0.0, x * scale)
    return torch.stack((about_x, about_y, torch.zeros_like(z)))
