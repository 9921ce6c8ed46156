"""Former mission of quadrotor-gates; robots/quadrotor/tasks/gates/task.py describes the task."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.speed.former.body import Pose, squared_norm
from benchmarks.speed.former.mission import Mission, StepContext, TaskResult

_BAR = 0.1  # m, width of the ring around the opening
_CLEARANCE = 0.05  # m, radius of the drone
_LOST = 5.0  # m
_FLYING, _CRASHED, _MISSED = 0, 1, 2
_CORNERS = ((1, 1), (-1, 1), (-1, -1), (1, -1))  # signs along left and up


class GateState(NamedTuple):
    """Memory of the mission: gates, and what was passed so far."""

    centre: Tensor
    """(B, G, 3) centres of the openings, world frame [m]."""
    axes: Tensor
    """(B, G, 3, 3) axes of the gates in the world; the rows are direction of passing, left and up."""
    half: Tensor
    """(B,) half the inner edge [m]."""
    first: Tensor
    """(B,) int64 index of the first gate of the episode."""
    passed: Tensor
    """(B,) int64 number of gates passed."""
    began: Tensor
    """(B,) time when the first gate was passed for the first time [s]."""
    lapped: Tensor
    """(B,) time when the first gate was passed for the last time [s]."""
    ending: Tensor
    """(B,) int64: flying, crashed or missed."""


class Crossing(NamedTuple):
    """Crossings of segments with the planes of gates; fields (B, G)."""

    forward: Tensor
    inside: Tensor
    struck: Tensor
    share: Tensor
    """Share of the segment before the plane, in [0, 1]."""
    off_centre: Tensor
    """Distance from the centre [m]."""


class Gates(Mission):
    """Race through gates."""

    state = GateState
    weights = {  # noqa: RUF012
        "progress": 10.0,
        "passed": 5.0,
        "off_centre": -20.0,
        "angular_velocity": -0.0005,
        "failed": -10.0,
        "action_difference": 0.02,
    }

    def __init__(self, device: torch.device) -> None:
        pass

    def observe(self, pose: Pose, mission: GateState) -> Tensor:
        """Corners of the next two gates minus position (24, B) in the body frame [m]."""
        corners = []
        for ahead in (0, 1):
            centre, axes = _gate(mission, ahead)
            middle = pose.in_body(centre - pose.position)
            left, up = (mission.half * pose.in_body(axes[i]) for i in (1, 2))
            corners += [middle + i * left + j * up for i, j in _CORNERS]
        return torch.cat(corners)

    def advance(self, context: StepContext, mission: GateState) -> TaskResult:
        """Check the segment at every gate."""
        before, after = context.before.position, context.after.position
        half = mission.half.unsqueeze(1)
        met = _crossing(_in_gates(before, mission), _in_gates(after, mission), half)
        index = _index(mission).unsqueeze(1)
        forward, inside, struck, share, off_centre = (x.gather(1, index).squeeze(1) for x in met)
        middle = _gate(mission)[0]
        d_before, d_after = (squared_norm(middle - x.t()).sqrt() for x in (before, after))
        crashed = context.grounded | (d_after > _LOST) | met.struck.any(dim=1)
        missed = forward & ~inside & ~struck & ~crashed
        flying = mission.ending == _FLYING
        happened = _CRASHED * crashed.to(torch.int64) + _MISSED * missed.to(torch.int64)
        ending = torch.where(flying, happened, mission.ending)
        passed = forward & inside & (ending == _FLYING)
        time = (context.steps - 1 + share) * context.duration
        new = _counted(mission, passed, time.to(torch.float32))._replace(ending=ending)
        terms = {
            "progress": d_before - d_after,
            "passed": passed.to(torch.float32),
            "off_centre": passed * (off_centre / (mission.half - _CLEARANCE)).square(),
            "angular_velocity": squared_norm(context.after.angular_velocity.t()),
            "failed": (ending != _FLYING).to(torch.float32),
        }
        return TaskResult(new, terms, ending != _FLYING)


def _index(mission: GateState, ahead: int = 0) -> Tensor:
    """Index (B,) int64 of the next gate, or of one `ahead` of it."""
    return (mission.first + mission.passed + ahead) % mission.centre.shape[1]


def _gate(mission: GateState, ahead: int = 0) -> tuple[Tensor, Tensor]:
    """Centre (3, B) and axes (3, 3, B) of the next gate, or of one `ahead` of it."""
    index = _index(mission, ahead)[:, None, None]
    centre = mission.centre.gather(1, index.expand(-1, 1, 3)).squeeze(1).t()
    axes = mission.axes.flatten(2).gather(1, index.expand(-1, 1, 9)).squeeze(1).t()
    return centre, axes.unflatten(0, (3, 3))


def _in_gates(position: Tensor, mission: GateState) -> Tensor:
    """Positions (B, 3) in the frame of every gate (3, B, G) [m]."""
    x, y, z = (position.unsqueeze(1) - mission.centre).unbind(2)
    axes = mission.axes
    return torch.stack([x * axes[:, :, i, 0] + y * axes[:, :, i, 1] + z * axes[:, :, i, 2] for i in range(3)])


def _counted(mission: GateState, passed: Tensor, time: Tensor) -> GateState:
    """Count the next gate where it was `passed` (B,) bool at a time (B,) [s]."""
    at_first = passed & (mission.passed % mission.centre.shape[1] == 0)
    began = torch.where(passed & (mission.passed == 0), time, mission.began)
    lapped = torch.where(at_first, time, mission.lapped)
    return mission._replace(passed=mission.passed + passed, began=began, lapped=lapped)


def _crossing(start: Tensor, end: Tensor, half: Tensor) -> Crossing:
    """Crossings of segments from `start` to `end` (3, B, G) in the gate frames, for half inner edges (B, 1) [m]."""
    behind, ahead = start[0] < 0.0, end[0] >= 0.0
    crossed = behind == ahead
    share = torch.where(crossed, start[0] / torch.where(crossed, start[0] - end[0], 1.0), 1.0)
    met = start[1:] + share * (end[1:] - start[1:])
    off_centre = torch.maximum(met[0].abs(), met[1].abs())
    inside = crossed & (off_centre <= half - _CLEARANCE)
    struck = crossed & ~inside & (off_centre <= half + (_BAR + _CLEARANCE))
    return Crossing(crossed & behind, inside, struck, share, off_centre)
