"""Every task as a fixture."""

from __future__ import annotations

from typing import Any

import pytest
import warp as wp
from support.combinations import NAMES, TASKS

import robots
from robots.simulator import Simulator


@pytest.fixture
def adjoints_compile_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels with adjoints are compiled without optimisation; kernels/test_define.py compares the bits."""
    make = wp.kernel

    def kernel(enable_backward: bool, module_options: dict[str, Any], **more: Any) -> Any:
        if enable_backward:
            module_options["optimization_level"] = 0
        return make(enable_backward=enable_backward, module_options=module_options, **more)

    monkeypatch.setattr(wp, "kernel", kernel)


@pytest.fixture(scope="module", params=TASKS, ids=NAMES)
def task(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Each registered task with its default options, and some tasks with others."""
    return request.param


@pytest.fixture(scope="module")
def simulator(task: tuple[str, dict[str, Any]]) -> Simulator:
    """The simulator of a task."""
    return robots.make(task[0], **task[1])
