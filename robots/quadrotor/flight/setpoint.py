"""Missions with one point to be at, whose observation may be that of RAPTOR in PX4.

RAPTOR (Eschmann, Albani and Loianno, 2025; PX4, src/modules/mc_raptor) reads 22 numbers. All but the body rates are in
the frame of the setpoint: x along the wanted heading, y left, z up. The wanted heading is that of world x here.

| entries | quantity | clipped to | unit |
|---|---|---|---|
| 0-2 | position minus setpoint | +-0.5 | m |
| 3-11 | rotation matrix, body to world, row by row | | 1 |
| 12-14 | velocity minus that of the setpoint | +-1 | m/s |
| 15-17 | angular velocity in the body frame | | rad/s |
| 18-21 | motor commands of the previous step: front right, back right, back left, front left | | 1 |
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from hgrpo_fields import Range
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.draw import Draw
from robots.quadrotor.flight.kernel_mission import KernelMission
from robots.quadrotor.flight.kernels import MissionFunctions
from robots.quadrotor.flight.options import FlightOptions
from robots.simulator import Channel

RAPTOR = (
    *(Channel(f"offset_{axis}", "m", "world") for axis in "xyz"),
    *(Channel(f"rotation_{axis}{body}", "1", "world") for axis in "xyz" for body in "xyz"),
    *(Channel(f"relative_velocity_{axis}", "m/s", "world") for axis in "xyz"),
    *(Channel(f"angular_velocity_{axis}", "rad/s", "body") for axis in "xyz"),
)
"""The entries before the previous action."""


@dataclass(frozen=True)
class SetpointOptions(FlightOptions):
    """Options of the missions."""

    observation: Literal["body", "raptor"] = "body"
    """Entries of the observation: those of the task in the body frame, or the 22 of RAPTOR in PX4."""
    heading: Annotated[float, Range(least=0, most=180, unit="deg")] = 180.0
    """Largest heading at the start, to either side of world x [deg]."""


class SetpointMission(KernelMission):
    """Mission with one point to be at."""

    def __init__(
        self, options: FlightOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        assert isinstance(options, SetpointOptions)
        self.heading = math.radians(options.heading)
        if options.observation == "raptor":
            self.observation, self.shows_motion = RAPTOR, False
            self.functions = self.raptor_functions  # type: ignore[method-assign]
        super().__init__(options, parameters, dtype, device)

    @staticmethod
    @abstractmethod
    def raptor_functions(real: Any) -> MissionFunctions:
        """As `functions`, with RAPTOR's entries; a function decorated with functools.cache."""

    def attitude(self, draw: Draw, max_tilt: Tensor) -> Tensor:
        """Quaternions (num, 4) of the start with tilts up to `max_tilt` (num, 1) [rad]."""
        return draw.attitude(max_tilt, self.heading)
