"""Former control step of a task: inner loop, body, mission, observation and reward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.speed.former import body as rigid
from benchmarks.speed.former.body import Body, Pose, pose_of
from benchmarks.speed.former.gates import Gates
from benchmarks.speed.former.hover import Hover
from benchmarks.speed.former.loops import BodyRates, Interface, Motors, Velocity
from benchmarks.speed.former.mission import Mission, StepContext
from benchmarks.speed.former.obstacles import Obstacles
from robots.quadrotor.body.parameters import QuadrotorParameters, preset
from robots.simulator import Step

_CONTROL_HZ = 100.0
TASKS: dict[str, Callable[[torch.device], Mission]] = {
    "quadrotor-hover": Hover,
    "quadrotor-gates": Gates,
    "quadrotor-obstacles": Obstacles,
}
"""Missions by the names of their tasks."""
_INTERFACES: dict[str, Callable[[QuadrotorParameters, float, torch.device], Interface]] = {
    "motors": Motors,
    "ctbr": BodyRates,
    "velocity": Velocity,
}


class FormerState(NamedTuple):
    """State of B quadrotors."""

    body: Body
    last_action: Tensor
    """(B, A) clipped action of the previous step."""
    mission: Any
    """Memory of the mission."""
    steps: Tensor
    """(B,) int64 control steps since the start of the episode."""
    controller: Any
    """Memory of the inner loop."""


class FormerSimulator:
    """The former step of a task with its default options, in float32.

    Args:
        task: A name in TASKS.
        interface: motors, ctbr or velocity.
        device: Device of the state.
    """

    def __init__(self, task: str, interface: str = "motors", device: str | torch.device = "cpu") -> None:
        parameters, self.device = preset("cf21B_500"), torch.device(device)
        self.mission = TASKS[task](self.device)
        self.interface = _INTERFACES[interface](parameters, _CONTROL_HZ, self.device)
        self.duration = 1.0 / _CONTROL_HZ
        self.substep = self.duration / self.interface.substeps
        self.airframe = rigid.airframe(parameters, self.substep, self.device)
        self._bounds = _bounds(self.interface, self.device)

    def begin(self, state: Any) -> FormerState:
        """The same state as a reset state of the shipped simulator, field by field."""
        body = _converted(Body, state.body)
        return FormerState(
            body,
            state.last_action.clone(),
            _converted(self.mission.state, state.mission),
            state.steps.clone(),
            self.interface.begin(body),
        )

    def observe(self, state: FormerState) -> Tensor:
        """(B, O) observation: entries of the mission, motion, previous action."""
        pose: Pose = pose_of(state.body)
        parts = (
            self.mission.observe(pose, state.mission),
            pose.in_body(pose.velocity),
            pose.rows[2],
            pose.angular_velocity,
            state.last_action.t(),
        )
        return torch.cat(parts).t()

    def step(self, state: FormerState, action: Tensor) -> Step:
        """Apply an action (B, A) for one control step; it is clipped to the bounds."""
        command = action.t().to(self.device, torch.float32).clamp(*self._bounds)
        body, controller, grounded = self._fly(state, command)
        steps = state.steps + 1
        context = StepContext(state.body, body, grounded, steps, self.duration)
        mission, terms, terminated = self.mission.advance(context, state.mission)
        new = FormerState(body, command.t(), mission, steps, controller)
        return Step(new, self.observe(new), self._reward(terms, command - state.last_action.t()), terminated)

    def _fly(self, state: FormerState, command: Tensor) -> tuple[Body, Any, Tensor]:
        """Body, controller, and contact with the floor (B,) bool after a command (A, B)."""
        body, controller = state.body, state.controller
        grounded = None
        for _ in range(self.interface.substeps):
            motors, controller = self.interface.motors(command, body, controller, self.substep)
            body = rigid.step(body, motors.t(), self.airframe, self.substep)
            below = body.position[:, 2] <= 0.0
            grounded = below if grounded is None else grounded | below
        assert grounded is not None  # there is at least one substep
        return body, controller, grounded

    def _reward(self, terms: dict[str, Tensor], change: Tensor) -> Tensor:
        """Weighted sum (B,) of the mission's terms, minus the penalty on the change of action (A, B)."""
        weights = self.mission.weights
        total: Tensor | None = None
        for name, term in terms.items():
            part = term if weights[name] == 1.0 else weights[name] * term
            total = part if total is None else total + part
        assert total is not None  # a mission has at least one term
        low, high = self._bounds
        if not isinstance(low, float) or high - low != 2.0:
            change = change * (2.0 / (high - low))
        return total - (weights["action_difference"] / len(change)) * rigid.squared_norm(change)


def _converted(kind: type[Any], state: Any) -> Any:
    """Copy of the NamedTuple `state` as another kind with the same field names; nested ones keep their type."""
    values = (getattr(state, name) for name in kind._fields)
    return kind(*(_converted(type(x), x) if isinstance(x, tuple) else x.clone() for x in values))


def _bounds(interface: Interface, device: torch.device) -> tuple[Any, Any]:
    """Bounds of the action: two numbers if all entries have the same, else two tensors (A, 1)."""
    if len(set(interface.low)) == len(set(interface.high)) == 1:
        return interface.low[0], interface.high[0]
    low, high = (torch.tensor(x, device=device).unsqueeze(1) for x in (interface.low, interface.high))
    return low, high
