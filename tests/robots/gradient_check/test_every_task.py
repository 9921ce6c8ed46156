"""Every registered task with gradients has the right ones, with every command interface."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from support.combinations import EVERY_ERROR, EVERY_FACTOR, LATE

import robots
from robots.gradient_check.check import check_gradients

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("adjoints_compile_quickly")]

STATES = 5
RANDOM = {**EVERY_FACTOR, "wind": 1.0, "gust": 2.0}
MEASURED = {**EVERY_ERROR, **LATE, "latency": "drawn", "action_history": 2, "mass": 0.2}
ANY = [name for name in robots.names() if name.startswith("quadrotor-any")]  # no inner loops, no idle speed
QUADROTORS = [name for name in robots.names() if name.startswith("quadrotor-") and name not in ANY]
OTHERS = [name for name in robots.names() if name not in QUADROTORS + ANY]
# No kernel with a gradient belongs to a pair of a task and an interface. So each task and each interface is checked,
# with perfect sensors and with measured poses, but not each pair.
FLIGHTS: list[tuple[str, str, dict[str, Any]]] = [
    *((name, "motors", RANDOM) for name in QUADROTORS),
    *((name, "motors", {**RANDOM, "idle_speed": 0.0}) for name in ANY),
    *((name, "motors", MEASURED) for name in ANY[:1]),
    *(("quadrotor-hover", interface, {}) for interface in ("ctbr", "velocity")),
    *(zip(QUADROTORS, itertools.cycle(("velocity", "ctbr", "motors")), itertools.repeat(MEASURED), strict=False)),
]


@pytest.mark.parametrize(("name", "interface", "options"), FLIGHTS, ids=["-".join(flight[:2]) for flight in FLIGHTS])
def test_gradients_of_a_quadrotor_task_are_right(name: str, interface: str, options: dict[str, Any]) -> None:
    options = {"interface": interface, **options}
    own = robots.make(name, **options)
    assert own.spec.differentiable
    report = check_gradients(own, robots.make(name, dtype=torch.float64, **options), STATES)
    assert report.right, (report.comparison.wrong[:3], report.problems)
    assert report.comparison.skipped < 0.1 * report.comparison.pairs


def test_gradients_end_at_another_physics_engine() -> None:
    assert not robots.make("quadrotor-hover", physics="mujoco").spec.differentiable


@pytest.mark.parametrize("name", OTHERS)
def test_gradients_of_another_task_are_right_where_it_has_them(name: str) -> None:
    own = robots.make(name)
    if own.spec.differentiable:
        assert check_gradients(own, robots.make(name, dtype=torch.float64), STATES).right
