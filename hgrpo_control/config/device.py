"""Where a run computes: the words that name a device, and what to say where there is no such device."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hgrpo_errors import HgrpoError, unknown

if TYPE_CHECKING:
    import torch

_WORD = re.compile(r"cpu|cuda(:(0|[1-9]\d*))?")


class DeviceError(HgrpoError):
    """Raised for a device that this machine does not have; the message says which there are."""


def device_problem(word: str) -> str | None:
    """What is wrong with a word that is to name a device; None for cpu, cuda and cuda:0, cuda:1, ..."""
    if _WORD.fullmatch(word):
        return None
    return unknown("device", word, ("cpu", "cuda", "cuda:0"), "cpu, cuda, or cuda:N for the GPU with number N")


def find_device(word: str) -> torch.device:
    """The device that a word names; raises DeviceError for a word that names none and for a GPU that is not there."""
    import torch

    problem = device_problem(word)
    if problem is not None:
        raise DeviceError(problem)
    device = torch.device(word)
    if device.type == "cpu":
        return device
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not number:
        raise DeviceError(f"there is no device {word!r}: torch {torch.__version__} finds no GPU here; allowed: cpu")
    if device.index is not None and device.index >= number:
        there = ", ".join(("cpu", *(f"cuda:{index}" for index in range(number))))
        raise DeviceError(f"there is no device {word!r}; allowed: {there}")
    return device
