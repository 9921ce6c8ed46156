"""Command interfaces by name."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hgrpo_errors import nearest
from robots.options import OptionError
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.interfaces.body_rates import BodyRates
from robots.quadrotor.interfaces.interface import Interface
from robots.quadrotor.interfaces.motors import Motors
from robots.quadrotor.interfaces.velocity import Velocity

INTERFACES: dict[str, Callable[[QuadrotorParameters, float, torch.dtype, torch.device], Interface]] = {
    "motors": Motors,
    "ctbr": BodyRates,
    "velocity": Velocity,
}


def make_interface(
    name: str, parameters: QuadrotorParameters, control_hz: float, dtype: torch.dtype, device: torch.device
) -> Interface:
    """Make an interface.

    Args:
        name: Name of the interface.
        parameters: The airframe.
        control_hz: Control rate [Hz].
        dtype: Type of the tensors.
        device: Their device.

    Raises:
        OptionError: The name is unknown.
    """
    if name not in INTERFACES:
        raise OptionError(f"unknown interface {name!r}; {nearest(name, tuple(INTERFACES))}")
    return INTERFACES[name](parameters, control_hz, dtype, device)
