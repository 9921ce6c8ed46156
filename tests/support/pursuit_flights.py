"""Drones and targets of quadrotor-pursuit at chosen places."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.flight.mission import StepContext, TaskResult
from robots.quadrotor.flight.simulator import QuadrotorFlight, make_flight
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks import pursuit
from robots.quadrotor.tasks.pursuit import Pursuit, PursuitOptions, PursuitState


def make(**options: object) -> QuadrotorFlight:
    return make_flight("quadrotor-pursuit", Pursuit, PursuitOptions(), dtype=torch.float64, **options)


SIM = make()
HOME = np.array(pursuit.HOME)


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def body(
    place: np.ndarray,
    rotation: Rotation | None = None,
    velocity: tuple[float, ...] = (0.0, 0.0, 0.0),
    rate: float = 0.0,
) -> QuadrotorState:
    quaternion = (rotation or Rotation.identity()).as_quat(scalar_first=True)
    parts = (place, velocity, quaternion, [0.0, rate, 0.0], np.full(4, SIM.parameters.hover_rotor_speed))
    return QuadrotorState.of(*(torch.tensor(np.array(part), dtype=torch.float64).unsqueeze(0) for part in parts))


def still(
    velocity: tuple[float, ...] = (0.0, 0.0, 0.0),
    offset: tuple[float, ...] = (0.0, 0.0, 0.0),
    push: tuple[float, ...] = (0.0, 0.0, 0.0),
    agility: float = 0.0,
    held: int = 0,
) -> PursuitState:
    """A target `offset` from its home, by default there, at rest and without agility: it stays there."""
    home, none, zero = row(*HOME), torch.zeros(1, dtype=torch.int64), torch.zeros(1).double()
    target, recent = home + row(*offset), home.unsqueeze(1).repeat(1, 8, 1)
    return PursuitState.of(
        target, row(*velocity), row(*push), home, zero + agility, recent, none + held, none, none, zero
    )


def advance(
    after: QuadrotorState, mission: PursuitState | None = None, grounded: bool = False, step: int = 1
) -> TaskResult:
    key, command = torch.tensor([7]), torch.zeros(1, 4).double()
    steps, floor = torch.tensor([step]), torch.tensor([grounded])
    flown = StepContext(after, after, floor, key, steps, 0.01, command, command)
    return SIM.mission.advance(flown, mission or still())


def moved(simulator: QuadrotorFlight, state: FlightState, mission: PursuitState, step: int) -> PursuitState:
    """The mission after one step of a drone that stays where it is."""
    rows = len(state.noise_key)
    floor, steps = torch.zeros(rows, dtype=torch.bool), torch.full((rows,), step)
    command = state.last_action
    flown = StepContext(state.body, state.body, floor, state.noise_key, steps, 0.01, command, command)
    new: PursuitState = simulator.mission.advance(flown, mission).mission
    return new


def behind(distance: float, yaw: float = 0.0, rate: float = 0.0) -> QuadrotorState:
    """A drone that has the target `distance` ahead along x, turned by `yaw` degrees from facing it."""
    return body(HOME - [distance, 0.0, 0.0], Rotation.from_euler("z", yaw, degrees=True), rate=rate)


def flight(drone: QuadrotorState, mission: PursuitState, steps: int = 0) -> FlightState:
    none = torch.zeros(1, dtype=torch.int64)
    return FlightState(drone, torch.zeros(1, 4).double(), mission, none + steps, none)
