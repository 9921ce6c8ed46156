"""Kernels in float64, the reference of those in float32, compiled quickly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from robots.kernels import launch
from robots.kernels.command import Command


class QuicklyCompiled(Command):
    """Its kernel is compiled without optimisation if it computes in float64."""

    def __init__(self, kernel: Any, *arguments: Any) -> None:
        if torch.float64 in {tensor.dtype for tensor in (*arguments[1], *arguments[-1])}:
            kernel.module.options["optimization_level"] = 0
        super().__init__(kernel, *arguments)


@pytest.fixture(autouse=True, scope="session")
def kernels_in_float64_compile_quickly() -> Iterator[None]:
    """Without optimisation they have the same bits and compile in less than half the time; tests have few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "Command", QuicklyCompiled)
        yield
