"""The interfaces by name."""

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
    """The interface of a name for an airframe and a control rate [Hz]; raises OptionError that lists the names."""
    if name not in INTERFACES:
        raise OptionError(f"unknown interface {name!r}; {nearest(name, tuple(INTERFACES))}")
    return INTERFACES[name](parameters, control_hz, dtype, device)
