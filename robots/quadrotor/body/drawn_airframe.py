"""Coefficients of airframes with hidden parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from robots.kernels.launch import Kernel, Output
from robots.quadrotor.body.kernels import FRAME, drawn_frames
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.randomization import HiddenParameters
from robots.quadrotor.body.vehicle import vehicle_row


class DrawnAirframe:
    """Coefficients of every row: those of its airframe with the factors of the row, its wind and its gust.

    Args:
        parameters: The airframe of rows without one of their own.
        substep: Step length of the body [s].
        duration: Length of a control step [s].
        dtype: Type of the coefficients.
        device: Their device.
    """

    def __init__(
        self,
        parameters: QuadrotorParameters,
        substep: float,
        duration: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._vehicle = torch.tensor([vehicle_row(parameters)], dtype=dtype, device=device)
        self._one, self._zero = self._vehicle.new_ones(1, 1), self._vehicle.new_zeros(1, 1)
        self._kernel = Kernel(drawn_frames, dtype, [Output((FRAME,))], [substep, duration])

    def __call__(self, hidden: HiddenParameters, steps: Tensor) -> Tensor:
        """(B, 30) coefficients of the airframes after `steps` (B,) control steps."""
        alone = (hidden.drag, hidden.yaw_torque, hidden.rotor_offset, hidden.idle_speed)
        factors = (x if isinstance(x, Tensor) else self._one for x in alone)
        sag = hidden.battery_sag if isinstance(hidden.battery_sag, Tensor) else self._zero
        vehicle = hidden.vehicle if isinstance(hidden.vehicle, Tensor) else self._vehicle
        always = (hidden.mass, hidden.rotor_thrust, hidden.inertia, hidden.rotor_lag, hidden.wind, hidden.gust)
        return self._kernel(*always, *factors, sag, vehicle, steps)[0]
