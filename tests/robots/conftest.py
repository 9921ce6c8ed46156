"""Every task as a fixture, and kernels in float64 that compile quickly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from support.combinations import NAMES, TASKS

import robots
from robots.kernels import launch
from robots.kernels.command import Command
from robots.simulator import Simulator


class QuicklyCompiled(Command):
    """Its kernel is compiled without optimisation if it computes in float64."""

    def __init__(self, kernel: Any, *arguments: Any) -> None:
        if torch.float64 in {tensor.dtype for tensor in (*arguments[1], *arguments[-1])}:
            kernel.module.options["optimization_level"] = 0
        super().__init__(kernel, *arguments)


@pytest.fixture(autouse=True, scope="session")
def kernels_in_float64_compile_quickly() -> Iterator[None]:
    """They are a reference for a few rows. Without optimisation they have the same bits and compile twice as fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "Command", QuicklyCompiled)
        yield


@pytest.fixture(scope="module", params=TASKS, ids=NAMES)
def task(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Each registered task with its default options, and some tasks with others."""
    return request.param


@pytest.fixture(scope="module")
def simulator(task: tuple[str, dict[str, Any]]) -> Simulator:
    """The simulator of a task."""
    return robots.make(task[0], **task[1])
