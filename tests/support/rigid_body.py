"""One step of the built-in rigid body, with a kernel for each step length and type."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import preset
from robots.quadrotor.interfaces.control_step import ControlStep
from robots.quadrotor.interfaces.motors import Motors


@cache
def _control_step(duration: float, dtype: torch.dtype) -> ControlStep:
    return ControlStep(Motors(preset("cf21B_500"), 1.0 / duration, dtype, torch.device("cpu")), duration, dtype)


def step(body: QuadrotorState, motors: Tensor, frame: Tensor, duration: float) -> QuadrotorState:
    """Bodies after motor commands (B, 4) in [-1, 1] that are held for `duration` [s]; `frame` (B or 1, 30)."""
    return _control_step(duration, body.values.dtype)(body, (), motors, frame).body
