"""A course of five points worked out by hand, and flights of one step on it."""

from __future__ import annotations

from functools import partial

import torch
from hypothesis import strategies as st

import robots
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.flight.mission import StepContext
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.waypoints import WaypointState

tensor = partial(torch.tensor, dtype=torch.float64)
SIM = robots.make("quadrotor-waypoints", dtype=torch.float64)
assert isinstance(SIM, QuadrotorFlight)
COURSE = [[1.0, 0.0, 2.0], [1.0, 1.0, 2.0], [0.0, 1.0, 3.0], [0.0, 0.0, 2.0], [0.0, 0.0, 1.0]]

number = st.floats(-3.0, 3.0)
vector = st.tuples(number, number, number)


def body(positions: object, rate: float = 0.0) -> QuadrotorState:
    """Level bodies (B, 3) that turn about z."""
    place = tensor(positions)
    upright, turning = tensor([1.0, 0.0, 0.0, 0.0]), tensor([0.0, 0.0, rate])
    rows = (len(place), 1)
    return QuadrotorState.of(
        place, torch.zeros_like(place), upright.repeat(rows), turning.repeat(rows), tensor([0.7] * 4).repeat(rows)
    )


def task(rows: int, reached: int = 0) -> WaypointState:
    count = torch.full((rows,), reached)
    return WaypointState.of(tensor(COURSE).repeat(rows, 1, 1), count, torch.zeros(rows, dtype=torch.bool))


def changed(mission: WaypointState, **parts: torch.Tensor) -> WaypointState:
    """The same state with other `parts`, by the names of the properties."""
    return WaypointState.of(**{**{name: getattr(mission, name) for name in ("points", "reached", "crashed")}, **parts})


def flown(start: object, end: object, grounded: bool = False, rate: float = 0.0) -> StepContext:
    before, after = body([start]), body([end], rate)
    none, idle = torch.zeros(1, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.float64)
    return StepContext(before, after, torch.tensor([grounded]), none, none + 1, 0.01, idle, idle)


def state(mission: WaypointState, place: object, steps: int = 100) -> FlightState:
    rows = len(mission.reached)
    count = torch.full((rows,), steps)
    return FlightState(body([place] * rows), torch.zeros(rows, 4, dtype=torch.float64), mission, count, count)
