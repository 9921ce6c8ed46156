"""A forest with one column and one sphere, and flights of one step through it."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.draw import Draw
from robots.quadrotor.flight.mission import StepContext, TaskResult
from robots.quadrotor.flight.simulator import QuadrotorFlight, make_flight
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.tasks.obstacles import forest
from robots.quadrotor.tasks.obstacles.forest import Forest
from robots.quadrotor.tasks.obstacles.task import ObstacleOptions, Obstacles, ObstacleState


def make(**options: object) -> QuadrotorFlight:
    return make_flight("quadrotor-obstacles", Obstacles, ObstacleOptions(), dtype=torch.float64, **options)


SIM = make()
FORESTS = forest.plant(Draw(300, torch.Generator().manual_seed(0), torch.float64), torch.ones(300, 1))


def body(place: tuple[float, ...], rotation: Rotation | None = None, rate: float = 0.0) -> QuadrotorState:
    quaternion = (rotation or Rotation.identity()).as_quat(scalar_first=True)
    parts = (place, np.zeros(3), quaternion, [rate, 0.0, 0.0], np.full(4, SIM.parameters.hover_rotor_speed))
    return QuadrotorState.of(*(torch.tensor(np.array(part), dtype=torch.float64).unsqueeze(0) for part in parts))


def lone(
    column: tuple[float, float] = (3.0, 0.0), sphere: tuple[float, ...] = (0.0, 3.0, 1.5), flown: float = 0.0
) -> ObstacleState:
    """One column and one sphere of 0.25 m, and a goal at (8, 0, 1.5)."""
    columns, spheres = torch.full((1, 12, 2), forest.PARKED).double(), torch.full((1, 8, 3), forest.PARKED).double()
    columns[0, 4], spheres[0, 2] = torch.tensor(column).double(), torch.tensor(sphere).double()
    planted = Forest.of(columns, torch.full((1, 12), 0.25).double(), spheres, torch.full((1, 8), 0.25).double())
    return mission_of(planted, torch.tensor([[8.0, 0.0, 1.5]]).double(), flown)


def mission_of(planted: Forest, goal: Tensor, flown: float = 0.0) -> ObstacleState:
    zero, no = torch.zeros(1).double(), torch.zeros(1, dtype=torch.bool)
    return ObstacleState.of(planted, goal, zero + 8.0, zero + flown, zero, no, no)


def clearance(planted: Forest, place: Tensor) -> Tensor:
    """Distance (B,) from places (B, 3) to the nearest surface."""
    places, radius = surfaces(planted)
    offset = places - place[:, None, :2]
    up = torch.zeros(len(place), 20, 1).double()
    up[:, 12:] = planted.spheres[:, :, 2:] - place[:, None, 2:]
    return (torch.cat((offset, up), dim=2).norm(dim=2) - radius).amin(dim=1)


def flight(place: tuple[float, ...], mission: ObstacleState, rotation: Rotation | None = None) -> FlightState:
    none = torch.zeros(1, dtype=torch.int64)
    return FlightState(body(place, rotation), torch.zeros(1, 4).double(), mission, none + 200, none)


def advance(
    before: tuple[float, ...],
    after: tuple[float, ...],
    mission: ObstacleState | None = None,
    grounded: bool = False,
    rate: float = 0.0,
) -> TaskResult:
    none = torch.zeros(1, dtype=torch.int64)
    command = torch.zeros(1, 4).double()
    moved = body(after, rate=rate)
    flown = StepContext(body(before), moved, torch.tensor([grounded]), none, none + 1, 0.01, command, command)
    return SIM.mission.advance(flown, mission or lone())


def seen(state: FlightState) -> dict[str, float]:
    names = [channel.name for channel in SIM.spec.observation]
    return dict(zip(names, SIM.observe(state)[0].tolist(), strict=True))


def ranges(state: FlightState) -> dict[str, float]:
    """What the rays measure [m], by their directions."""
    return {name.removeprefix("nearness_"): 1.0 / x for name, x in seen(state).items() if name.startswith("nearness")}


def surfaces(planted: Forest) -> tuple[Tensor, Tensor]:
    """(B, 20, 2) seen from above, and (B, 20) radii, of columns and spheres."""
    places = torch.cat((planted.columns, planted.spheres[:, :, :2]), dim=1)
    return places, torch.cat((planted.column_radius, planted.sphere_radius), dim=1)
