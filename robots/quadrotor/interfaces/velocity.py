"""interface=velocity: commands of velocity and yaw rate.

The velocity is in the heading frame: x along the horizontal direction of the nose, y left, z up. With the wanted
specific force f, limited to max_tilt from the vertical, and the rotor axis z_b:

    f = k_v (v_c - v) + g e_z,    thrust = f . z_b,    rate_c = k_a n + yaw_rate R^T e_z

The vector n has the direction of z_b x f and the length 2 sin(theta / 2) for the angle theta between z_b and f. For a
unit vector f = (x, y, z) in the body frame it is sqrt(2 / (1 + z)) (-y, x, 0); opposite to body z it is about body x.
"""

from __future__ import annotations

import math

import torch

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters
from robots.quadrotor.interfaces import rate_loop
from robots.quadrotor.interfaces.interface import Interface, substeps_at
from robots.quadrotor.interfaces.rate_loop import RateMemory
from robots.simulator import Channel


class Velocity(Interface):
    """Velocity in the heading frame and yaw rate; velocity, attitude and rate loops run at 500 Hz."""

    name = "velocity"
    action = (
        *(Channel(f"velocity_command_{axis}", "m/s", "heading") for axis in "xyz"),
        Channel("yaw_rate_command", "rad/s", "world"),
    )
    neutral = (0.0, 0.0, 0.0, 0.0)

    def __init__(
        self, parameters: QuadrotorParameters, control_hz: float, dtype: torch.dtype, device: torch.device
    ) -> None:
        gains = parameters.gains
        self.high = (*gains.max_speed, gains.max_rate[2])
        self.low = tuple(-bound for bound in self.high)
        self.substeps = substeps_at(control_hz)
        most_lift = 0.9 * parameters.thrust_to_weight * GRAVITY
        outer = (gains.attitude, gains.velocity, math.tan(gains.max_tilt), most_lift)
        self.gains = torch.tensor([*rate_loop.gains(parameters), *outer], dtype=dtype, device=device)

    def begin(self, body: QuadrotorState) -> RateMemory:
        """Memory of the rate loop; the outer loops have none."""
        return rate_loop.begin(body)
