"""interface=motors: commands of the four rotors."""

from __future__ import annotations

import torch
from torch import Tensor

from robots.quadrotor.body.dynamics import hover_action
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.interfaces.interface import Interface
from robots.quadrotor.interfaces.kernels import GAINS
from robots.simulator import Channel


class Motors(Interface):
    """Commands of rotors 1 to 4: -1 is idle speed, +1 full speed, constant during the control step."""

    name = "motors"
    action = tuple(Channel(f"motor_{i}", "1", "motor") for i in (1, 2, 3, 4))
    low, high = (-1.0,) * 4, (1.0,) * 4
    substeps = 1
    loopless = True

    def __init__(
        self, parameters: QuadrotorParameters, control_hz: float, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.neutral = (hover_action(parameters),) * 4
        self.gains = torch.zeros(GAINS, dtype=dtype, device=device)

    def signals(self, command: Tensor) -> dict[str, Tensor]:
        """The four commands as one signal."""
        return {"motor command [1]": command}
