"""interface=motors: commands of the four rotors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState, hover_action
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.interfaces.interface import Interface
from robots.simulator import Channel


class Motors(Interface):
    """Commands of rotors 1 to 4: -1 is idle speed, +1 full speed, constant during the control step."""

    action = tuple(Channel(f"motor_{i}", "1", "motor") for i in (1, 2, 3, 4))
    low, high = (-1.0,) * 4, (1.0,) * 4
    substeps = 1

    def __init__(
        self, parameters: QuadrotorParameters, control_hz: float, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.neutral = (hover_action(parameters),) * 4

    def motors(self, command: Tensor, body: QuadrotorState, memory: Any, duration: float) -> tuple[Tensor, Any]:
        """As Interface.motors: the command itself."""
        return command, memory

    def signals(self, command: Tensor) -> dict[str, Tensor]:
        """The four commands as one signal."""
        return {"motor command [1]": command}
