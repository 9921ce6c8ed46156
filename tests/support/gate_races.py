"""A course of six gates worked out by hand, and flights of one step through it."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

import robots
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.flight.mission import StepContext, TaskResult
from robots.quadrotor.flight.simulator import QuadrotorFlight
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.gates import courses
from robots.quadrotor.tasks.gates.task import FLYING, GateState

tensor = partial(torch.tensor, dtype=torch.float64)
SIM = robots.make("quadrotor-gates", dtype=torch.float64)
assert isinstance(SIM, QuadrotorFlight)
G = 6
# three gates in a row along x and three that lead back, 2 m apart; passed along x, then along -x
CENTRES = tensor([[0, 0, 2], [2, 0, 2], [4, 0, 2], [4, 2, 2], [2, 2, 2], [0, 2, 2]])
HEADINGS = torch.deg2rad(tensor([0, 0, 0, 180, 180, 180]))


def race(passed: int = 0, first: int = 0, half: float = 0.4) -> GateState:
    axes = courses.axes(HEADINGS, torch.zeros_like(HEADINGS))
    none = torch.zeros(1, dtype=torch.int64)
    time = torch.zeros(1, dtype=torch.float64)
    return GateState.of(
        CENTRES[None], axes[None], tensor([half]), none + first, none + passed, time, time, none + FLYING
    )


def changed(mission: GateState, **parts: torch.Tensor) -> GateState:
    """The same state with other `parts`, by the names of the properties."""
    names = ("centre", "axes", "half", "first", "passed", "began", "lapped", "ending")
    return GateState.of(**{**{name: getattr(mission, name) for name in names}, **parts})


def body(place: object, rate: float = 0.0) -> QuadrotorState:
    """One level body that turns about z."""
    upright, still = tensor([[1.0, 0.0, 0.0, 0.0]]), torch.zeros(1, 3, dtype=torch.float64)
    return QuadrotorState.of(tensor([place]), still, upright, tensor([[0.0, 0.0, rate]]), tensor([[0.7] * 4]))


def flown(start: object, end: object, grounded: bool = False, steps: int = 1, rate: float = 0.0) -> StepContext:
    none, idle = torch.zeros(1, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.float64)
    return StepContext(body(start), body(end, rate), torch.tensor([grounded]), none, none + steps, 0.01, idle, idle)


def fly(mission: GateState, start: object, end: object, **context: Any) -> TaskResult:
    return SIM.mission.advance(flown(start, end, **context), mission)


def state(mission: GateState, place: object = (-1.0, 0.0, 2.0), steps: int = 100) -> FlightState:
    count = torch.full((1,), steps)
    return FlightState(body(place), torch.zeros(1, 4, dtype=torch.float64), mission, count, count)
