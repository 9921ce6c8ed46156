"""interface=ctbr: commands of collective thrust and body rates."""

from __future__ import annotations

import torch

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import GRAVITY, QuadrotorParameters
from robots.quadrotor.interfaces import rate_loop
from robots.quadrotor.interfaces.interface import Interface, substeps_at
from robots.quadrotor.interfaces.rate_loop import RateMemory
from robots.simulator import Channel


class BodyRates(Interface):
    """Collective thrust over nominal mass [g] and body rates [rad/s]; the rate loop runs at 500 Hz.

    A thrust of 1 g without rates keeps a nominal drone at rest. The bounds of the thrust are those of the airframe.
    """

    name = "ctbr"
    action = (
        Channel("collective_thrust", "g", "body"),
        *(Channel(f"{axis}_rate", "rad/s", "body") for axis in ("roll", "pitch", "yaw")),
    )
    neutral = (1.0, 0.0, 0.0, 0.0)

    def __init__(
        self, parameters: QuadrotorParameters, control_hz: float, dtype: torch.dtype, device: torch.device
    ) -> None:
        rates = parameters.gains.max_rate
        weight = 0.25 * parameters.mass * GRAVITY
        self.low = (parameters.thrust(parameters.rotor_speed_min) / weight, *(-rate for rate in rates))
        self.high = (parameters.thrust_to_weight, *rates)
        self.substeps = substeps_at(control_hz)
        no_outer_loops = (0.0,) * 4
        self.gains = torch.tensor([*rate_loop.gains(parameters), *no_outer_loops], dtype=dtype, device=device)

    def begin(self, body: QuadrotorState) -> RateMemory:
        """Memory of the rate loop."""
        return rate_loop.begin(body)
