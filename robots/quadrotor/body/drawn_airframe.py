"""Coefficients of airframes with hidden parameters."""

from __future__ import annotations

from torch import Tensor

from robots.kernels.launch import Kernel, Output
from robots.quadrotor.body.kernels import FRAME, drawn_frames
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.body.randomization import HiddenParameters


class DrawnAirframe:
    """Coefficients of every row: those of the preset with the factors of the row, and its wind and gust.

    Args:
        nominal: (1, 30) coefficients of the preset.
        parameters: The preset.
    """

    def __init__(self, nominal: Tensor, parameters: QuadrotorParameters) -> None:
        self._nominal = nominal[0].contiguous()
        self._inertia, self._one = nominal.new_tensor(parameters.inertia), nominal.new_ones(1, 1)
        self._kernel = Kernel(drawn_frames, nominal.dtype, [Output((FRAME,))])

    def __call__(self, hidden: HiddenParameters) -> Tensor:
        """(B, 30) coefficients of the airframes."""
        alone = (hidden.drag, hidden.yaw_torque, hidden.rotor_offset, hidden.idle_speed)
        factors = (x if isinstance(x, Tensor) else self._one for x in alone)
        always = (hidden.mass, hidden.rotor_thrust, hidden.inertia, hidden.rotor_lag, hidden.wind, hidden.gust)
        return self._kernel(*always, *factors, shared=(self._nominal, self._inertia))[0]
