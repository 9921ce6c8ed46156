"""One control step of body and inner loops, one Warp kernel for each interface."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.kernels.launch import Kernel, Output
from robots.quadrotor.body.dynamics import QuadrotorState
from robots.quadrotor.body.kernels import BODY
from robots.quadrotor.interfaces.interface import Interface
from robots.quadrotor.interfaces.kernels import MEMORY, control_step, inner_loops
from robots.quadrotor.interfaces.rate_loop import RateMemory


class Flown(NamedTuple):
    """Result of one control step."""

    body: QuadrotorState
    memory: Any
    """Memory of the inner loops."""
    grounded: Tensor
    """(B,) bool, true where the body was on the floor at the end of any substep."""


class ControlStep:
    """One control step of B bodies with an interface.

    Args:
        interface: The interface.
        substep: Length of an inner-loop step [s].
        dtype: Type of the state.
    """

    def __init__(self, interface: Interface, substep: float, dtype: torch.dtype) -> None:
        self.gains, name, substeps = interface.gains, interface.name, interface.substeps
        self._nothing = interface.gains.new_empty(1, 0)
        memory = 0 if interface.loopless else MEMORY
        outputs = [Output((BODY,)), Output((memory,)), Output((), torch.bool)]
        self._kernel = Kernel(
            lambda real, backward: control_step(name, substeps, real, backward), dtype, outputs, [substep]
        )

    def __call__(self, body: QuadrotorState, memory: Any, command: Tensor, frame: Tensor) -> Flown:
        """Apply a command for one control step.

        Args:
            body: B bodies.
            memory: Memory of the inner loops.
            command: (B, A) command.
            frame: (B, 30) coefficients of each airframe, or (1, 30) for all.
        """
        before = memory.values if memory else self._nothing
        new, after, grounded = self._kernel(body.values, command, frame, before, shared=(self.gains,))
        return Flown(QuadrotorState(new), RateMemory(after) if memory else (), grounded)


class LoopStep:
    """One inner-loop step of an interface, for bodies that another engine moves; arguments as for ControlStep."""

    def __init__(self, interface: Interface, substep: float, dtype: torch.dtype) -> None:
        self.gains, self.loopless, name = interface.gains, interface.loopless, interface.name
        outputs = [Output((4,)), Output((MEMORY,))]
        self._kernel = Kernel(lambda real, backward: inner_loops(name, real, backward), dtype, outputs, [substep])

    def __call__(self, body: QuadrotorState, memory: Any, command: Tensor) -> tuple[Tensor, Any]:
        """Motor commands (B, 4) in [-1, 1] and the new memory, for a command (B, A)."""
        if self.loopless:
            return command, memory
        motors, values = self._kernel(body.values, command, memory.values, shared=(self.gains,))
        return motors, RateMemory(values)
