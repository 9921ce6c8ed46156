"""quadrotor-gates: race laps through square gates in order and in the right direction.

Observation, 37 entries by default, all in the body frame:

| entries | quantity | unit |
|---|---|---|
| 0-11 | corners of the next gate minus position; from behind: upper left, upper right, lower right, lower left | m |
| 12-23 | corners of the second gate minus position | m |
| 24-36 | velocity, direction of world z, angular velocity, previous action | m/s, 1, rad/s, 1 |

Reward per step, with d the distance to the centre of the next gate before and after the step [m]. In a step that passes
a gate, c is the distance from its centre over the largest one that passes, r / (h - 0.05 m) in crossing.py; else it is
0:

    10 (d_before - d_after) + 5 passed - 20 c^2 - 0.0005 |omega|^2 - 10 failed - 0.02 |a - a_previous|^2 / 4

The first five terms are `progress`, `passed`, `off_centre`, `angular_velocity` and `failed`. Without the third,
policies fly close to the frames and strike them.

Passing is computed from the segment between the drone's centres at two control steps; crossing.py has the formulas. The
next gate is passed if the segment crosses its plane from behind inside the opening, at least 5 cm from the edge. An
episode terminates as failed if the segment

- strikes a frame of any gate from either side: it crosses the plane on the ring of 0.1 m around the opening, or less
  than 5 cm beside the ring;
- misses the next gate: it crosses the plane of the gate from behind at any other place, at any distance;

and if the drone touches the ground or is more than 5 m away from the centre of the next gate. Passing a gate backwards,
or a gate other than the next, has no effect.

Laps continue until the time limit. A lap starts when the first gate is passed and ends when the same gate is passed
again; its time is exact to a fraction of a control step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from hgrpo_fields import OneOf, Range
from robots.quadrotor.body import rotation
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import QuadrotorParameters
from robots.quadrotor.draw import Draw
from robots.quadrotor.flight.kernel_mission import KernelMission
from robots.quadrotor.flight.mission import Drawing
from robots.quadrotor.flight.options import FlightOptions, Penalty
from robots.quadrotor.flight.state import FlightState
from robots.quadrotor.scene import Camera
from robots.quadrotor.tasks.gates import courses
from robots.quadrotor.tasks.gates.drawing import frame
from robots.quadrotor.tasks.gates.kernels import BAR, CRASHED, FLYING, GATE, MISSED, gate_functions
from robots.simulator import Channel

EASY_SIZE = 1.5  # factor of the opening at difficulty 0
START_BEHIND = (1.0, 2.0)  # m
START_RADIUS = 0.3  # m
START_ADVANCE = 3.0  # m/s, along the direction of passing
START_SPEED = 0.5  # m/s, per axis, added to it
START_TILT = torch.pi / 3.0  # rad
START_RATE = 1.0  # rad/s, per axis
SECONDS, SECONDS_PER_LAP = 2.0, 10.0

CORNERS = ("upper_left", "upper_right", "lower_right", "lower_left")

_PASSED, _NEXT, _AFTER, _LATER = (0.55, 0.58, 0.62), (0.10, 0.80, 0.30), (1.0, 0.65, 0.10), (0.25, 0.45, 0.85)


@dataclass(frozen=True)
class GateOptions(FlightOptions):
    """Options of the task."""

    course: Annotated[str, OneOf(courses.COURSES.keys)] = "loop"
    """Course of gates."""
    start: Literal["anywhere", "first"] = "anywhere"
    """Start of episodes: before a random gate, or before the first one."""
    laps: Annotated[int, Range(least=1)] = 1
    """Laps of a success; the time limit is 10 s for each."""
    gate_size: Annotated[float, Range(least=0.3, most=1.2, unit="m")] = 0.8
    """Inner edge of the gates at difficulty 1 [m]; at difficulty 0 it is 1.5 times larger."""
    shift: Annotated[float, Range(least=0, most=0.5, unit="m")] = 0.3
    """Radius of the ball in which each gate is moved at random, at difficulty 1 [m]."""
    turn: Annotated[float, Range(least=0, most=30, unit="deg")] = 15.0
    """Largest random turn of each gate about the vertical, at difficulty 1 [deg]."""
    action_difference_penalty: Penalty = 0.02


class GateState(NamedTuple):
    """State of the mission; kernels.py has the order of the numbers."""

    course: Tensor
    """(B, 12 G + 1) centres and axes of the gates, and half the inner edge."""
    values: Tensor
    """(B, 2) times."""
    counts: Tensor
    """(B, 3) int64 indices and flags."""

    @classmethod
    def of(
        cls,
        centre: Tensor,
        axes: Tensor,
        half: Tensor,
        first: Tensor,
        passed: Tensor,
        began: Tensor,
        lapped: Tensor,
        ending: Tensor,
    ) -> GateState:
        """State of its parts; shapes and units are those of the properties."""
        gates = torch.cat((centre, axes.flatten(2)), dim=2).flatten(1)
        return cls(
            torch.cat((gates, half.unsqueeze(1)), dim=1),
            torch.stack((began, lapped), dim=1),
            torch.stack((first, passed, ending), dim=1),
        )

    @property
    def centre(self) -> Tensor:
        """(B, G, 3) centres of the openings, world frame [m]."""
        return self._gates[:, :, :3]

    @property
    def axes(self) -> Tensor:
        """(B, G, 3, 3) axes of the gates in the world; the rows are direction of passing, left and up."""
        return self._gates[:, :, 3:].unflatten(2, (3, 3))

    @property
    def half(self) -> Tensor:
        """(B,) half the inner edge [m]."""
        return self.course[:, -1]

    @property
    def first(self) -> Tensor:
        """(B,) int64 index of the first gate of the episode."""
        return self.counts[:, 0]

    @property
    def passed(self) -> Tensor:
        """(B,) int64 number of gates passed."""
        return self.counts[:, 1]

    @property
    def began(self) -> Tensor:
        """(B,) time when the first gate was passed for the first time [s]; 0 before."""
        return self.values[:, 0]

    @property
    def lapped(self) -> Tensor:
        """(B,) time when the first gate was passed for the last time [s]; 0 before."""
        return self.values[:, 1]

    @property
    def ending(self) -> Tensor:
        """(B,) int64: FLYING, CRASHED or MISSED."""
        return self.counts[:, 2]

    @property
    def _gates(self) -> Tensor:
        return self.course[:, :-1].unflatten(1, (-1, GATE))


class Gates(KernelMission):
    """Race through gates."""

    observation = tuple(
        Channel(f"{which}_gate_{corner}_{axis}", "m", "body")
        for which in ("next", "second")
        for corner in CORNERS
        for axis in "xyz"
    )
    weights = {"progress": 10.0, "passed": 5.0, "off_centre": -20.0, "angular_velocity": -0.0005, "failed": -10.0}  # noqa: RUF012
    values_size, counts_size = 2, 3
    functions = staticmethod(gate_functions)
    options: GateOptions

    def __init__(
        self, options: GateOptions, parameters: QuadrotorParameters, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(options, parameters, dtype, device)
        laps = "a whole lap is" if options.laps == 1 else f"{options.laps} whole laps are"
        self.goal = f"{laps} flown and no gate is missed, and no frame or ground touched, until the time is up"
        self.episode_seconds = SECONDS + SECONDS_PER_LAP * options.laps
        self.course = courses.course(options.course, dtype, device)
        self.gates = len(self.course[0])

    def begin(self, draw: Draw, difficulty: Tensor) -> tuple[QuadrotorState, GateState]:
        """Random initial states behind a gate, with any heading.

        Positions are 1 to 2 m behind the gate and up to 0.3 m from that line. Difficulty scales the ranges of tilt (60
        degrees), speed (3 m/s towards the gate, 0.5 m/s per axis) and body rates (1 rad/s).
        """
        centres, headings, climbs = self.course
        shift = torch.stack([draw.in_ball(self.options.shift * difficulty) for _ in range(self.gates)], dim=1)
        turn = torch.pi / 180.0 * self.options.turn * difficulty
        heading = headings + draw.uniform(self.gates, -turn, turn)
        centre, axes = centres + shift, courses.axes(heading, climbs.expand_as(heading))
        first = draw.integers(1, 0, self.gates - 1 if self.options.start == "anywhere" else 0).squeeze(1)
        row = torch.arange(draw.num, device=self.device)
        there, passing = centre[row, first], axes[row, first, 0]
        position = there - draw.uniform(1, *START_BEHIND) * passing + draw.in_ball(START_RADIUS)
        speed, rate = START_SPEED * difficulty, START_RATE * difficulty
        velocity = draw.uniform(1, 0.0, START_ADVANCE * difficulty) * passing + draw.uniform(3, -speed, speed)
        body = self.body(position, velocity, draw.attitude(START_TILT * difficulty), draw.uniform(3, -rate, rate))
        half = 0.5 * self.options.gate_size * (EASY_SIZE + (1.0 - EASY_SIZE) * difficulty.squeeze(1))
        passed, began, lapped, ending = (torch.zeros_like(x) for x in (first, half, half, first))
        return body, GateState.of(centre, axes, half, first, passed, began, lapped, ending)

    def success(self, state: FlightState) -> Tensor:
        """(B,) bool, true where all laps are flown without failure."""
        mission: GateState = state.mission
        return (self._laps(mission) >= self.options.laps) & (mission.ending == FLYING)

    def signals(self, state: FlightState) -> dict[str, Tensor]:
        """Vector to the centre of the next gate in the world frame, gates passed, speed."""
        following = self._index(state.mission)[:, None, None].expand(-1, 1, 3)
        return {
            "vector to the gate [m]": state.mission.centre.gather(1, following).squeeze(1) - state.body.position,
            "gates passed [1]": state.mission.passed.to(self.dtype)[:, None],
            "speed [m/s]": rotation.squared_norm(state.body.velocity.t()).sqrt()[:, None],
        }

    def metrics(self, state: FlightState) -> dict[str, Tensor]:
        """Mean lap time, share of clean laps, laps, gates per minute, crash and miss.

        A lap that is cut by the time limit does not count.
        """
        mission: GateState = state.mission
        laps, failed = self._laps(mission).to(self.dtype), (mission.ending != FLYING).to(self.dtype)
        seconds = state.steps.to(self.dtype) / self.control_hz
        return {
            "lap time [s]": torch.where(laps > 0, (mission.lapped - mission.began) / laps, torch.nan),
            "clean laps [1]": torch.where(laps + failed > 0, laps / (laps + failed), torch.nan),
            "laps [1]": laps,
            "gates per minute [1/min]": torch.where(state.steps > 0, 60.0 * mission.passed / seconds, torch.nan),
            "crash rate [1]": (mission.ending == CRASHED).to(self.dtype),
            "miss rate [1]": (mission.ending == MISSED).to(self.dtype),
        }

    def drawing(self, state: FlightState, row: int) -> Drawing:
        """Gates as frames: the next green, the second orange, the last passed grey, the others blue."""
        mission: GateState = state.mission
        following = int(self._index(mission)[row])
        colours = [_LATER] * self.gates
        if bool(mission.passed[row] > 0):
            colours[following - 1] = _PASSED
        colours[(following + 1) % self.gates], colours[following] = _AFTER, _NEXT
        centres, axes = (x[row].double().cpu().numpy() for x in (mission.centre, mission.axes))
        half, drone = float(mission.half[row]), state.body.position[row].double().cpu().numpy()
        gates = zip(centres, axes, colours, strict=True)
        shapes = [shape for centre, rows, rgb in gates for shape in frame(centre, rows, half, BAR, rgb)]
        return Drawing(shapes=shapes, camera=Camera(0.6 * drone + 0.4 * centres.mean(axis=0), 5.5, elevation=-20.0))

    def _index(self, mission: GateState) -> Tensor:
        """Index (B,) int64 of the next gate."""
        return (mission.first + mission.passed) % self.gates

    def _laps(self, mission: GateState) -> Tensor:
        """Number (B,) int64 of whole laps."""
        return torch.div((mission.passed - 1).clamp_min(0), self.gates, rounding_mode="floor")
