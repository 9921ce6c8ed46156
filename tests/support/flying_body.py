"""The body of the simulated vehicle: the built-in quadrotor under the inner loops of interface=ctbr and velocity."""

from __future__ import annotations

import math

import torch

from robots.quadrotor.body import dynamics
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.parameters import preset
from robots.quadrotor.interfaces import make_interface, rate_loop
from robots.quadrotor.interfaces.control_step import LoopStep

from . import rigid_body  # relative: it runs as tests.support.flying_body too

SUBSTEP = 0.005  # [s]


class Body:
    """The drone itself: position, attitude and rotors; flown by rates or by velocity."""

    def __init__(self) -> None:
        self.parameters = preset("cf21B_500")
        where = torch.float32, torch.device("cpu")
        self.frame = dynamics.airframe(self.parameters, SUBSTEP, *where)
        interfaces = (make_interface(name, self.parameters, 100.0, *where) for name in ("ctbr", "velocity"))
        self.loops = {interface.name: LoopStep(interface, SUBSTEP, torch.float32) for interface in interfaces}
        self.place(0.0)

    def place(self, height: float) -> None:
        """At rest, nose north, this high [m]."""
        speed = self.parameters.hover_rotor_speed if height > 0.0 else 0.0
        zero = torch.zeros(1, 3)
        self.state = QuadrotorState.of(
            torch.tensor([[0.0, 0.0, height]]),
            zero.clone(),
            torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
            zero.clone(),
            torch.full((1, 4), speed),
        )
        self.forget()

    def forget(self) -> None:
        """Start the loops anew."""
        self.memory = rate_loop.begin(self.state)

    def fly(self, kind: str, command: list[float]) -> None:
        """One substep under a command of our interfaces; without one the motors stand still."""
        if kind == "off":
            motors = torch.full((1, 4), -1.0)
        else:
            motors, self.memory = self.loops[kind](self.state, self.memory, torch.tensor([command]))
        self.state = rigid_body.step(self.state, motors, self.frame, SUBSTEP)

    @property
    def heading(self) -> float:
        w, x, y, z = self.state.quaternion[0].tolist()
        return math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
