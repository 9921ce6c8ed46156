"""Devices of a run: their names, and the error for a device that does not exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hgrpo_errors import HgrpoError, unknown

if TYPE_CHECKING:
    import torch

_NAME = re.compile(r"cpu|cuda(:(0|[1-9]\d*))?")


class DeviceError(HgrpoError):
    """Raised for a device that this machine does not have; the message lists those that exist."""


def device_problem(name: str) -> str | None:
    """Error line for a name that is no device; None for cpu, cuda and cuda:N."""
    if _NAME.fullmatch(name):
        return None
    return unknown("device", name, ("cpu", "cuda", "cuda:0"), "cpu, cuda, or cuda:N for the GPU with number N")


def find_device(name: str) -> torch.device:
    """The device of a name; raises DeviceError if this machine does not have it."""
    import torch

    problem = device_problem(name)
    if problem is not None:
        raise DeviceError(problem)
    device = torch.device(name)
    if device.type == "cpu":
        return device
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not number:
        raise DeviceError(f"there is no device {name!r}: torch {torch.__version__} finds no GPU here; allowed: cpu")
    if device.index is not None and device.index >= number:
        there = ", ".join(("cpu", *(f"cuda:{index}" for index in range(number))))
        raise DeviceError(f"there is no device {name!r}; allowed: {there}")
    return device
