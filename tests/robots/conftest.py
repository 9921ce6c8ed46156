"""Every task as a fixture."""

from __future__ import annotations

from typing import Any

import pytest
from support.combinations import NAMES, TASKS

import robots
from robots.simulator import Simulator


@pytest.fixture(scope="module", params=TASKS, ids=NAMES)
def task(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Each registered task with its default options, and some tasks with others."""
    return request.param


@pytest.fixture(scope="module")
def simulator(task: tuple[str, dict[str, Any]]) -> Simulator:
    """The simulator of a task."""
    return robots.make(task[0], **task[1])
